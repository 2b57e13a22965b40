//! What a client does when nobody can be reached: `--on-unavailable`.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Case, timed};
use crate::support::{Daemon, Endpoint, Fault, Kind, Proxy, run, text, tree, until};

/// A daemon and its endpoint, each behind a proxy.
struct Chain {
    case: Case,
    to_serve: Proxy,
    to_endpoint: Proxy,
    serve: Daemon,
    endpoint: Endpoint,
}

impl Chain {
    fn new() -> Self {
        Self::of(Case::new())
    }

    fn of(case: Case) -> Self {
        let endpoint = Endpoint::start(Kind::Own);
        let to_endpoint = Proxy::new(&endpoint.address);
        let serve = case.serve("serve", &to_endpoint.address);
        let to_serve = Proxy::new(&serve.address);
        Self { case, to_serve, to_endpoint, serve, endpoint }
    }

    fn fetch(&self, client: &str, policy: &str) -> std::process::Command {
        let mut command = self.case.fetch(&self.serve, client);
        command.env("ENVSERVE_SERVE", &self.to_serve.address).args(["--on-unavailable", policy]);
        command
    }

    /// Returns the two places at which the chain can break, each with the name of a client.
    fn links(&self) -> [(&str, &Proxy); 2] {
        [("without a daemon", &self.to_serve), ("without an endpoint", &self.to_endpoint)]
    }
}

#[test]
fn without_a_policy_it_is_said_soon_who_is_not_there() {
    let chain = Chain::new();
    for (_, proxy) in chain.links() {
        for fault in [Fault::Refused, Fault::Unanswered, Fault::Swallowed] {
            proxy.set(Fault::Refused);
            proxy.set(fault);
            let (code, stderr, took) = timed(&mut chain.fetch("client", "fail"));
            assert_eq!(code, Some(11), "{fault:?}: {stderr}");
            assert!(stderr.contains(&proxy.address), "{fault:?}: {stderr}");
            assert!(took < Duration::from_secs(2), "{fault:?}: {took:?}: {stderr}");
        }
        proxy.set(Fault::None);
    }
}

#[test]
fn a_client_that_waits_comes_through_when_daemon_and_endpoint_are_there() {
    let chain = Chain::new();
    for (name, proxy) in chain.links() {
        proxy.set(Fault::Refused);
        let log = chain.case.world.path(&format!("{name}.log"));
        let mut command = chain.fetch(name, "wait");
        command.stdout(Stdio::null()).stderr(fs::File::create(&log).expect("temporary"));
        let mut client = command.spawn().expect("the binary is there");
        let said = || fs::read_to_string(&log).expect("there");
        until("it says that it waits", || {
            assert_eq!(client.try_wait().expect("waitable"), None, "{}", said());
            said().contains("waiting: ").then_some(())
        });
        assert!(said().contains(&proxy.address), "for `{}`: {}", proxy.address, said());
        proxy.set(Fault::None);
        let back = Instant::now();
        assert!(client.wait().expect("waitable").success(), "{}", said());
        assert!(back.elapsed() < Duration::from_secs(6), "{:?}", back.elapsed());
    }
}

#[test]
fn a_client_waits_no_longer_than_it_was_told_to() {
    let chain = Chain::new();
    chain.to_serve.set(Fault::Refused);
    let (code, stderr, took) = timed(chain.fetch("client", "wait").args(["--wait-seconds", "1"]));
    assert_eq!(code, Some(17), "{stderr}");
    assert!(stderr.contains("waited 1 s in vain") && stderr.contains(&chain.to_serve.address), "{stderr}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_client_that_builds_here_says_so_and_gets_the_same() {
    let chain = Chain::new();
    let expected = chain.case.expected();
    for (name, proxy) in chain.links() {
        proxy.set(Fault::Refused);
        let output = run(&mut chain.fetch(name, "local"));
        let stderr = text(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        let said = |line: &str| line.contains("building on this host: ") && line.contains(&proxy.address);
        assert!(stderr.lines().any(said), "{stderr}");
        assert_eq!(tree(text(&output.stdout).trim().as_ref()), expected);
        proxy.set(Fault::None);
    }
    assert_eq!(chain.serve.builds(), 0);
}

#[test]
fn a_daemon_that_hangs_while_a_client_waits_for_its_build_is_noticed() {
    let seconds = format!("600.{}", fastrand::u64(..));
    let chain = Chain::of(Case::that_sleeps(&seconds));
    let mut fetch = chain.fetch("client", "fail");
    let client = fetch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is there");
    until("the action runs", || chain.endpoint.has_action(&seconds).then_some(()));
    chain.to_serve.set(Fault::Swallowed);
    let output = client.wait_with_output().expect("it ran");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(11), "{said}");
    assert!(said.contains(&chain.to_serve.address) && said.contains("fallen silent"), "{said}");
    chain.endpoint.wake_action(&seconds);
}
