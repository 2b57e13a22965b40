//! What networks do to the connections of daemon, client and endpoint.

use std::time::{Duration, Instant};

use super::{Case, timed};
use crate::support::{Daemon, Endpoint, Fault, Kind, Proxy, fail, run, text, tree, until};

/// Longest time that may pass until a user is told that nobody is there.
const SOON: Duration = Duration::from_secs(2);
/// Longest time until it is noticed that somebody is there again.
const NOTICED: Duration = Duration::from_secs(5);
const SILENCES: [Fault; 3] = [Fault::Refused, Fault::Unanswered, Fault::Swallowed];

/// A daemon that reaches its endpoint by one way, and its clients by another.
struct Ways {
    case: Case,
    endpoint: Endpoint,
    near: Proxy,
    far: Proxy,
    serve: Daemon,
}

impl Ways {
    fn new() -> Self {
        Self::of(Case::new())
    }

    fn of(case: Case) -> Self {
        let endpoint = Endpoint::start(Kind::Own);
        let (near, far) = (Proxy::new(&endpoint.address), Proxy::new(&endpoint.address));
        let options = ["--remote", &near.address, "--client-address", &far.address];
        let serve = Daemon::start(&case.world.path("serve"), &options);
        Self { case, endpoint, near, far, serve }
    }

    /// Cuts the connections that a proxy carries, so that what comes now meets a fault.
    fn cut(proxy: &Proxy, fault: Fault) {
        proxy.set(Fault::Refused);
        proxy.set(fault);
    }

    /// Waits until the daemon answers again, which must be soon.
    fn comes_back(&self, client: &str) {
        let back = Instant::now();
        until("the endpoint's return is noticed", || (self.case.probe(&self.serve, client).0 == Some(0)).then_some(()));
        assert!(back.elapsed() < NOTICED, "{:?}\n{}", back.elapsed(), self.serve.log());
    }
}

#[test]
fn an_endpoint_that_the_daemon_cannot_reach_is_named_soon_and_its_return_is_noticed() {
    let mut ways = Ways::new();
    let first = tree(&ways.case.fetched(&ways.serve, "first"));
    for (number, fault) in SILENCES.into_iter().enumerate() {
        Ways::cut(&ways.near, fault);
        // One that was not there when the daemon started, and so knows nothing of it.
        ways.serve = ways.serve.kill_and_restart();
        for arguments in [&["--probe"][..], &[]] {
            let (code, stderr, took) = timed(ways.case.fetch(&ways.serve, "second").args(arguments));
            assert_eq!(code, Some(11), "{fault:?} {arguments:?}: {stderr}\n{}", ways.serve.log());
            assert!(stderr.contains(&ways.near.address), "{fault:?} {arguments:?}: {stderr}");
            assert!(took < SOON, "{fault:?} {arguments:?}: {took:?}: {stderr}");
        }
        ways.near.set(Fault::None);
        ways.comes_back("second");
        let client = format!("after {number}");
        assert_eq!(tree(&ways.case.fetched(&ways.serve, &client)), first);
        assert_eq!(ways.serve.builds(), 2, "unknown is not absent\n{}", ways.serve.log());
    }
}

#[test]
fn an_endpoint_that_hangs_with_its_connections_open_is_noticed() {
    let ways = Ways::new();
    // The daemon has reached it when it started; now nothing comes over that connection, and nothing over a new one.
    ways.near.set(Fault::Swallowed);
    let (code, stderr, took) = timed(ways.case.fetch(&ways.serve, "first").arg("--probe"));
    assert_eq!(code, Some(11), "{stderr}\n{}", ways.serve.log());
    assert!(stderr.contains(&ways.near.address) && took < Duration::from_secs(10), "{took:?}: {stderr}");
    Ways::cut(&ways.near, Fault::None);
    until("its return is noticed", || (ways.case.probe(&ways.serve, "first").0 == Some(10)).then_some(()));
}

#[test]
fn a_cas_that_clients_cannot_reach_is_named_and_blobs_come_through_the_daemon() {
    let ways = Ways::new();
    let first = tree(&ways.case.fetched(&ways.serve, "first"));
    for fault in SILENCES {
        Ways::cut(&ways.far, fault);
        let client = format!("{fault:?}");
        let (code, stderr, took) = timed(&mut ways.case.fetch(&ways.serve, &client));
        assert_eq!(code, Some(0), "{fault:?}: {stderr}\n{}", ways.serve.log());
        let expected = format!("cannot fetch from `{}`", ways.far.address);
        assert_eq!(stderr.matches(&expected).count(), 1, "{fault:?}: {stderr}");
        // A second until that is known; the rest is the download.
        assert!(took < NOTICED, "{fault:?}: {took:?}");
        assert_eq!(tree(&ways.case.fetched(&ways.serve, &client)), first);
    }
    assert_eq!(ways.serve.builds(), 2);
}

#[test]
fn a_download_that_is_reset_or_truncated_goes_on() {
    let ways = Ways::new();
    let first = tree(&ways.case.fetched(&ways.serve, "first"));
    for after in [0, 1, 1000, 2 << 20, 6 << 20] {
        for again in [false, true] {
            if again && after < 6 << 20 {
                continue;
            }
            for fault in [Fault::Reset { after, again }, Fault::Truncated { after, again }] {
                ways.far.set(fault);
                let client = format!("{fault:?}");
                let (code, stderr, took) = timed(&mut ways.case.fetch(&ways.serve, &client));
                assert_eq!(code, Some(0), "{fault:?} {took:?}: {stderr}\n{}", ways.serve.log());
                assert_eq!(tree(&ways.case.fetched(&ways.serve, &client)), first, "{fault:?}");
                ways.far.set(Fault::None);
            }
        }
    }
    assert_eq!(ways.serve.builds(), 2, "{}", ways.serve.log());
}

#[test]
fn a_build_goes_through_wherever_the_daemon_loses_its_connection() {
    for after in [0, 50, 300, 600, 1000, 2000] {
        for fault in [Fault::Reset { after, again: false }, Fault::Truncated { after, again: false }] {
            let ways = Ways::new();
            ways.near.set(fault);
            let (code, stderr, took) = timed(&mut ways.case.fetch(&ways.serve, "client"));
            assert_eq!(code, Some(0), "{fault:?} {took:?}: {stderr}\n{}", ways.serve.log());
            assert_eq!(ways.serve.builds(), 2, "{fault:?}");
        }
    }
}

#[test]
fn a_connection_that_is_cut_while_an_action_runs_loses_nothing() {
    let seconds = format!("600.{}", fastrand::u64(..));
    let ways = Ways::of(Case::that_sleeps(&seconds));
    let client = ways.case.begin(&ways.serve, "client");
    until("the action runs", || ways.endpoint.has_action(&seconds).then_some(()));
    ways.near.set(Fault::Refused);
    ways.near.set(Fault::None);
    until("the daemon is back", || (ways.near.connections() > 1).then_some(()));
    ways.endpoint.wake_action(&seconds);
    let output = client.wait_with_output().expect("it ran");
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), ways.serve.log());
    assert_eq!(ways.serve.builds(), 2);
}

#[test]
fn an_endpoint_far_away_is_slower_and_nothing_else() {
    const LATENCY: Duration = Duration::from_millis(50);
    let ways = Ways::new();
    for proxy in [&ways.near, &ways.far] {
        proxy.delay(LATENCY);
    }
    assert_eq!(tree(&ways.case.fetched(&ways.serve, "first")), ways.case.expected());
    let before = ways.near.bytes();
    assert_eq!(ways.case.probe(&ways.serve, "second").0, Some(0));
    assert_eq!(ways.near.bytes(), before, "what is under lease is answered without asking");
    let output = run(&mut ways.case.fetch(&ways.serve, "second"));
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_cas_that_has_nothing_of_what_was_answered_is_an_error_of_its_own_and_no_reason_to_build() {
    let (endpoint, empty) = (Endpoint::start(Kind::Own), Endpoint::start(Kind::Own));
    let case = Case::new();
    let serve = case.serve("serve", &endpoint.address);
    case.fetched(&serve, "built");
    drop(serve);
    let options = ["--remote", &endpoint.address, "--client-address", &empty.address];
    let serve = Daemon::start(&case.world.path("serve"), &options);
    for client in ["first", "second"] {
        let stderr = fail(&mut case.fetch(&serve, client), 12);
        assert!(stderr.contains("asked 3 times") && stderr.contains("hint: "), "{stderr}");
    }
    assert_eq!(serve.builds(), 2, "{}", serve.log());
}
