//! What is promised at each endpoint.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Case, large, timed};
use crate::roots::{Sources, absent};
use crate::support::{Daemon, Endpoint, World, run, script, succeed, text, tree, until};

/// Applies every case to an endpoint.
macro_rules! at {
    ($($name:ident: $kind:ident),*) => {
        $(mod $name {
            use crate::support::{Endpoint, Kind::$kind};

            #[test]
            fn a_miss_is_built_there_like_anywhere_else() {
                Endpoint::with($kind, super::miss);
            }

            #[test]
            fn what_one_client_had_built_another_gets() {
                Endpoint::with($kind, super::hit);
            }

            #[test]
            fn an_archive_that_a_client_gave_may_be_absent_for_others() {
                Endpoint::with($kind, super::given_archive);
            }

            #[test]
            fn a_failing_build_is_an_outcome_with_its_log_and_is_tried_again() {
                Endpoint::with($kind, super::failing_build);
            }

            #[test]
            fn a_killed_worker_costs_at_most_this_build() {
                Endpoint::with($kind, super::killed_worker);
            }

            #[test]
            fn a_killed_endpoint_is_named_and_purges_nothing() {
                Endpoint::with($kind, super::killed_endpoint);
            }

            #[test]
            fn an_evicted_blob_is_named_and_built_again() {
                Endpoint::with($kind, super::evicted_blob);
            }
        })*
    };
}

at! { buildgrid: BuildGrid, just: Just, casd: Casd, our_own: Own }

fn miss(endpoint: &mut Endpoint) {
    let case = Case::new();
    let serve = case.serve("serve", &endpoint.address);
    assert_eq!(case.probe(&serve, "client").0, Some(10), "{}", serve.log());
    assert_eq!(tree(&case.fetched(&serve, "client")), case.expected());
    assert_eq!(serve.builds(), 2);
}

fn hit(endpoint: &mut Endpoint) {
    let case = Case::new();
    let serve = case.serve("serve", &endpoint.address);
    let first = tree(&case.fetched(&serve, "first"));
    assert_eq!(case.probe(&serve, "second").0, Some(0), "no miss is remembered");
    assert_eq!(tree(&case.fetched(&serve, "second")), first);
    assert_eq!(serve.builds(), 2);
}

fn given_archive(endpoint: &mut Endpoint) {
    let sources = Sources::new();
    let serve = Daemon::start(&sources.world.path("serve"), &["--remote", &endpoint.address]);
    let root = sources.archive("a.tar.gz");
    let first = succeed(sources.client(&serve, "first", &["fetch"]).arg(sources.spec(&root)));
    sources.web.asked();
    let second = succeed(sources.client(&serve, "second", &["fetch"]).arg(sources.spec(&absent(root))));
    assert_eq!(tree(second.as_ref()), tree(first.as_ref()));
    assert!(sources.web.asked().is_empty());
    assert_eq!(serve.builds(), 1, "{}", serve.log());
}

fn failing_build(endpoint: &mut Endpoint) {
    let world = World::new();
    let broken = "echo first line; date +%N; echo to stderr >&2; exit 3";
    let spec = world.spec("broken", &json!({"broken": script(broken, &["out"])}));
    let serve = Daemon::start(&world.path("serve"), &["--remote", &endpoint.address]);
    let log = || {
        let output = run(world.client_of(&serve, "client").arg("fetch").arg(&spec));
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(16), "{stderr}\n{}", serve.log());
        for part in ["exit code 3", "first line", "to stderr", "hint:"] {
            assert!(stderr.contains(part), "{part}: {stderr}");
        }
        stderr.lines().filter(|line| line.starts_with("  | ")).collect::<String>()
    };
    assert_ne!(log(), log(), "the second one is that of another run");
}

fn killed_worker(endpoint: &mut Endpoint) {
    let seconds = format!("600.{}", fastrand::u64(..));
    let case = Case::that_sleeps(&seconds);
    let serve = case.serve("serve", &endpoint.address);
    let mut first = case.begin(&serve, "client");
    endpoint.kill_worker(&seconds);
    // Whether another worker gets the action is the endpoint's own matter.
    let ended = until("the client has an answer, or there is another worker", || {
        let ended = first.try_wait().expect("waitable").is_some();
        (ended || endpoint.has_action(&seconds)).then_some(ended)
    });
    if !ended {
        endpoint.wake_action(&seconds);
    }
    let output = first.wait_with_output().expect("it ran");
    let stderr = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 11 | 16)), "{stderr}\n{}", serve.log());
    assert_eq!(output.status.success(), !ended, "{stderr}\n{}", serve.log());
    if ended {
        let second = case.begin(&serve, "client");
        endpoint.wake_action(&seconds);
        let output = second.wait_with_output().expect("it ran");
        assert!(output.status.success(), "{}\n{}", text(&output.stderr), serve.log());
    }
    let directory = case.fetched(&serve, "client");
    assert_eq!(large(&directory).len(), 2 * super::LARGE);
    assert_eq!(serve.builds(), 2);
}

fn killed_endpoint(endpoint: &mut Endpoint) {
    let case = Case::new();
    let serve = case.serve("serve", &endpoint.address);
    let first = tree(&case.fetched(&serve, "first"));
    endpoint.kill();
    assert_ne!(case.probe(&serve, "second").0, Some(10), "unknown is not absent");
    let (code, stderr, took) = timed(&mut case.fetch(&serve, "second"));
    assert_eq!(code, Some(11), "{stderr}\n{}", serve.log());
    assert!(stderr.contains(&endpoint.address), "{stderr}");
    assert!(took < Duration::from_secs(2), "{took:?}: {stderr}");
    endpoint.start_again();
    let back = Instant::now();
    until("the endpoint's return is noticed", || run(&mut case.fetch(&serve, "second")).status.success().then_some(()));
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}\n{}", back.elapsed(), serve.log());
    assert_eq!(tree(&case.fetched(&serve, "second")), first);
    assert_eq!(serve.builds(), 2, "{}", serve.log());
}

fn evicted_blob(endpoint: &mut Endpoint) {
    let case = Case::new();
    let serve = case.serve("serve", &endpoint.address);
    let directory = case.fetched(&serve, "first");
    let lost = endpoint.lose(&large(&directory));
    let output = run(&mut case.fetch(&serve, "second"));
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}\n{}", serve.log());
    assert_eq!(stderr.matches("not found in the CAS: asking again").count(), 1, "{stderr}");
    assert!(lost.iter().any(|hash| stderr.contains(hash)), "it says which: {lost:?}\n{stderr}");
    assert_eq!(tree(text(&output.stdout).trim().as_ref()), tree(&directory));
    assert_eq!(case.probe(&serve, "third").0, Some(0));
}
