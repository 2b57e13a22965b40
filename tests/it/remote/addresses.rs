//! An endpoint has several addresses: for its halves, for clients, for properties.

use serde_json::{Value, json};

use super::{Case, object};
use crate::support::{Daemon, Endpoint, Kind, Proxy, fail, run, succeed, text, tree, until};

#[test]
fn the_cas_and_the_executor_may_be_at_two_addresses() {
    let endpoint = Endpoint::start(Kind::Own);
    let (cache, executor) = (Proxy::new(&endpoint.address), Proxy::new(&endpoint.address));
    let case = Case::new();
    let options = ["--remote-cache", &cache.address, "--remote-executor", &executor.address];
    let serve = Daemon::start(&case.world.path("serve"), &options);
    assert_eq!(tree(&case.fetched(&serve, "client")), case.expected());
    assert!(cache.bytes().0 > super::LARGE as u64, "{:?}", cache.bytes());
    let (up, down) = executor.bytes();
    assert!(executor.connections() > 0 && up < 10_000 && down < 10_000, "{:?}", executor.bytes());
}

#[test]
fn half_an_endpoint_is_refused() {
    let case = Case::new();
    for (given, missing) in [("--remote-cache", "--remote-executor"), ("--remote-executor", "--remote-cache")] {
        let mut command = case.world.client("client");
        command.args(["serve", "--listen", "127.0.0.1:0", "--root"]).arg(case.world.path("serve"));
        let said = fail(command.args([given, "127.0.0.1:1"]), 2);
        assert!(said.contains(missing), "{said}");
    }
}

#[test]
fn clients_read_from_the_address_that_is_given_for_them_and_not_through_the_daemon() {
    let endpoint = Endpoint::start(Kind::Own);
    let (near, far) = (Proxy::new(&endpoint.address), Proxy::new(&endpoint.address));
    let case = Case::new();
    let options = ["--remote", &near.address, "--client-address", &far.address];
    let serve = Daemon::start(&case.world.path("serve"), &options);
    case.fetched(&serve, "first");
    let (before, down) = (near.bytes(), far.bytes().1);
    assert!(down > 3 * super::LARGE as u64, "{down}");
    let output = run(&mut case.fetch(&serve, "second"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(far.bytes().1 >= 2 * down - 10_000, "{:?} {down}", far.bytes());
    assert_eq!(near.bytes(), before, "an answer under lease asks nothing of the endpoint");
}

#[test]
fn an_instance_is_named_to_the_endpoint_and_a_wrong_one_is_an_error() {
    let case = Case::new();
    let endpoint = Daemon::start_as("execute", &case.world.path("endpoint"), &["--instance", "main"]);
    let right = ["--remote", &endpoint.address, "--instance", "main"];
    let right = Daemon::start(&case.world.path("right"), &right);
    assert_eq!(tree(&case.fetched(&right, "client")), case.expected());
    let wrong = ["--remote", &endpoint.address, "--instance", "other"];
    let wrong = Daemon::start(&case.world.path("wrong"), &wrong);
    let said = fail(&mut case.fetch(&wrong, "other"), 1);
    assert!(said.contains("instance `other` is not served here"), "{said}");
}

#[test]
fn the_list_of_executors_says_by_properties_who_runs_an_action() {
    let endpoint = Endpoint::start(Kind::Own);
    let special = Proxy::new(&endpoint.address);
    let case = Case::new();
    let rules = json!([[{"OSFamily": "linux"}, special.address]]);
    let rules = case.world.write("dispatch.json", rules.to_string());
    let options = ["--remote", &endpoint.address, "--dispatch", rules.to_str().expect("text")];
    let serve = Daemon::start(&case.world.path("serve"), &options);
    let usual = object(&mut case.fetch(&serve, "client"));
    assert_eq!(special.bytes(), (0, 0));
    let text = std::fs::read_to_string(&case.spec).expect("there");
    let mut spec: Value = serde_json::from_str(&text).expect("JSON");
    spec["properties"] = json!({"OSFamily": "linux"});
    case.world.write("spec.json", spec.to_string());
    let other = object(&mut case.fetch(&serve, "client"));
    assert!(special.bytes().1 > 0);
    assert_eq!(serve.builds(), 4, "each executor has a shard of its own\n{}", serve.log());
    assert_eq!(other["descriptor"]["root"], usual["descriptor"]["root"]);
}

#[test]
fn entries_belong_to_the_id_of_the_endpoint_and_not_to_its_address() {
    let endpoint = Endpoint::start(Kind::Own);
    let elsewhere = Proxy::new(&endpoint.address);
    let case = Case::new();
    let builds = |root: &str, address: &str, id: &str| {
        let serve = Daemon::start(&case.world.path(root), &["--remote", address, "--remote-id", id]);
        succeed(&mut case.fetch(&serve, root));
        serve.builds()
    };
    assert_eq!(builds("one", &endpoint.address, "a"), 2);
    assert_eq!(builds("two", &elsewhere.address, "a"), 0);
    assert_eq!(builds("three", &endpoint.address, "b"), 2);
}

#[test]
fn properties_that_the_cluster_does_not_have_are_refused_by_it_and_told() {
    Endpoint::with(Kind::BuildGrid, |endpoint| {
        let case = Case::new();
        let serve = case.serve("serve", &endpoint.address);
        let mut spec: Value = serde_json::from_slice(&std::fs::read(&case.spec).expect("there")).expect("JSON");
        spec["properties"] = json!({"no-such": "thing"});
        std::fs::write(&case.spec, spec.to_string()).expect("temporary");
        let said = fail(&mut case.fetch(&serve, "client"), 1);
        assert!(said.contains(&endpoint.address) && said.contains("no-such"), "{said}");
    });
}

#[test]
fn what_is_under_lease_is_touched_before_the_cluster_may_take_it_for_unused() {
    let endpoint = Endpoint::start(Kind::Own);
    let (near, case) = (Proxy::new(&endpoint.address), Case::new());
    let options = ["--remote", &near.address, "--client-address", &endpoint.address, "--lease-seconds", "60"];
    let serve = Daemon::start(&case.world.path("serve"), &options);
    case.fetched(&serve, "client");
    let (before, _) = near.bytes();
    // Nobody asks for anything; digests go out all the same, a quarter of a lease later.
    until("the daemon touches what it has answered", || (near.bytes().0 > before + 500).then_some(()));
}
