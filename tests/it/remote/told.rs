//! What is told before anything is built or moved: `plan` and `explain`.

use serde_json::json;

use crate::support::{Daemon, Endpoint, Kind, World, object, plan_and_fetch, script};

/// Plans and explanations are the same over an endpoint elsewhere, and by a daemon that has built nothing itself.
fn told(endpoint: &mut Endpoint) {
    let world = World::new();
    world.write("source/much", vec![b'x'; 3_000_000]);
    let command = format!("cp in/much out; echo {} >>out; echo {{{{SIZE}}}} >size", fastrand::u64(..));
    let mut much = script(&command, &["out", "size"]);
    much["flexible_config"] = json!(["SIZE"]);
    much["inputs"] = json!({"in/much": {"path": "much"}});
    let spec = world.spec("much", &json!({"much": much}));
    let [one, two] = ["one", "two"].map(|root| Daemon::start(&world.path(root), &["--remote", &endpoint.address]));
    let client = |daemon, root: &str, verb: &str| {
        let mut command = world.client_of(daemon, root);
        command.arg(verb).arg(&spec);
        command
    };
    let of = |daemon, root: &'static str| move |verb: &str| client(daemon, root, verb);
    let size = ["-c", "SIZE=1"];

    assert_eq!(plan_and_fetch(of(&one, "first"), &size)["state"], "build");
    assert_eq!(plan_and_fetch(of(&one, "first"), &size)["state"], "here");
    let hit = plan_and_fetch(of(&two, "second"), &size);
    assert_eq!(hit["state"], "hit", "what another daemon has built is a hit: {hit}");
    assert!(hit["fetch_bytes"].as_u64() > Some(3_000_000), "{hit}");
    assert_eq!((one.builds(), two.builds()), (1, 0), "{}\n{}", one.log(), two.log());

    for daemon in [&one, &two] {
        let why = object(client(daemon, "first", "explain").args(["--json", "-c", "SIZE=2"]));
        assert_eq!(why["state"], "miss");
        let differences = why["differences"].as_array().expect("a list");
        let [only] = &differences[..] else { panic!("{why}") };
        assert_eq!((&only["component"], &only["name"]), (&json!("variable"), &json!("SIZE")), "{why}");
    }
}

#[test]
fn plan_and_explain_say_over_our_own_endpoint_what_then_happens() {
    Endpoint::with(Kind::Own, told);
}

#[test]
fn plan_and_explain_say_over_buildgrid_what_then_happens() {
    Endpoint::with(Kind::BuildGrid, told);
}
