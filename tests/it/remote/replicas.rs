//! Several daemons over one endpoint: one truth.

use std::fs;

use std::time::Duration;

use super::{Case, object};
use crate::support::{Daemon, Endpoint, Kind, Proxy, tree, until};

/// What is said once when entries cannot be shared.
const NOT_SHARED: &str = "takes no action results";

/// What one daemon has built another answers, also when the first one's disk is wiped.
fn shared(endpoint: &mut Endpoint) {
    let case = Case::new();
    let one = case.serve("one", &endpoint.address);
    let built = object(&mut case.fetch(&one, "first"));
    let two = case.serve("two", &endpoint.address);
    let hit = object(&mut case.fetch(&two, "second"));
    assert_eq!(hit["descriptor"], built["descriptor"]);
    let root = one.root.clone();
    drop(one);
    fs::remove_dir_all(&root).expect("removable");
    let one = case.serve("one", &endpoint.address);
    assert_eq!(case.probe(&one, "third").0, Some(0));
    let again = object(&mut case.fetch(&one, "third"));
    assert_eq!(again["descriptor"], built["descriptor"]);
    assert_eq!((one.builds(), two.builds()), (2, 0), "{}\n{}", one.log(), two.log());
    let directory = |fetched: &serde_json::Value| tree(fetched["directory"].as_str().expect("text").as_ref());
    assert_eq!(directory(&again), directory(&built));
}

#[test]
fn what_one_daemon_has_built_over_buildgrid_another_answers_also_when_the_first_is_wiped() {
    Endpoint::with(Kind::BuildGrid, shared);
}

#[test]
fn what_one_daemon_has_built_over_casd_another_answers_also_when_the_first_is_wiped() {
    Endpoint::with(Kind::Casd, shared);
}

#[test]
fn what_one_daemon_has_built_over_our_own_endpoint_another_answers_also_when_the_first_is_wiped() {
    Endpoint::with(Kind::Own, shared);
}

#[test]
fn where_the_endpoint_takes_no_entries_it_is_said_once_and_each_daemon_keeps_its_own() {
    let endpoint = Endpoint::start(Kind::Just);
    let case = Case::new();
    let (one, two) = (case.serve("one", &endpoint.address), case.serve("two", &endpoint.address));
    let first = tree(&case.fetched(&one, "first"));
    assert_eq!(tree(&case.fetched(&two, "second")), first);
    for (serve, client) in [(&one, "third"), (&two, "fourth")] {
        assert_eq!(case.probe(serve, client).0, Some(0));
        assert_eq!(tree(&case.fetched(serve, client)), first);
        assert_eq!(serve.builds(), 2, "{}", serve.log());
        assert_eq!(serve.log().matches(NOT_SHARED).count(), 1, "{}", serve.log());
    }
}

#[test]
fn what_another_daemon_has_built_meanwhile_is_taken_over() {
    let endpoint = Endpoint::start(Kind::Own);
    let far = Proxy::new(&endpoint.address);
    let seconds = format!("600.{}", fastrand::u64(..));
    let case = Case::that_sleeps(&seconds);
    let (one, two) = (case.serve("one", &endpoint.address), case.serve("two", &far.address));
    let second = case.begin(&two, "second");
    until("the action runs", || endpoint.has_action(&seconds).then_some(()));
    // From now on the first is the faster one.
    far.delay(Duration::from_millis(300));
    let first = case.begin(&one, "first");
    until("both have asked", || (one.log().matches("outcome=\"miss\"").count() > 1).then_some(()));
    endpoint.wake_action(&seconds);
    let outputs = [first, second].map(|client| client.wait_with_output().expect("it ran"));
    assert!(outputs.iter().all(|output| output.status.success()), "{}\n{}", one.log(), two.log());
    assert!(two.log().contains("took over an entry"), "{}", two.log());
    let descriptors =
        [&one, &two].map(|serve| object(case.fetch(serve, "third").arg("--absent"))["descriptor"].clone());
    assert_eq!(descriptors[0], descriptors[1]);
}

#[test]
fn with_a_secret_daemons_answer_only_what_those_with_the_same_have_built() {
    let endpoint = Endpoint::start(Kind::Own);
    let case = Case::new();
    let serve = |name: &str, secret: &str| {
        let secret = case.world.write(&format!("{name}.secret"), secret).display().to_string();
        Daemon::start(&case.world.path(name), &["--remote", &endpoint.address, "--entry-secret", &secret])
    };
    let (one, two, other) = (serve("one", "secret"), serve("two", "secret"), serve("other", "another"));
    let built = object(&mut case.fetch(&one, "first"));
    let hit = object(&mut case.fetch(&two, "second"));
    let rebuilt = object(&mut case.fetch(&other, "third"));
    assert_eq!(hit["descriptor"], built["descriptor"]);
    assert_eq!(rebuilt["descriptor"]["root"], built["descriptor"]["root"]);
    assert_eq!((one.builds(), two.builds(), other.builds()), (2, 0, 2), "{}", other.log());
    assert!(other.log().contains("is not signed with the secret"), "{}", other.log());
}
