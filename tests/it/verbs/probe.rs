//! `envserve fetch --probe`: what stands in the way, by exit code, and nothing is built to find out.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Daemon, World, fail, run, script, succeed, text};

fn world() -> (World, std::path::PathBuf) {
    let world = World::new();
    let environments = json!({
        "one": script("echo x >out", &["out"]),
        "user": {"type": "tree", "inputs": {"in": {"root": "made", "path": "out"}}},
    });
    let spec = world.spec("one", &environments);
    (world, spec)
}

fn probe(world: &World, daemon: &Daemon, spec: &Path) -> Command {
    let mut command = world.client_of(daemon, "prober");
    command.args(["fetch", "--probe"]).arg(spec);
    command
}

/// Returns the exit code and what stands on stdout.
fn outcome(command: &mut Command) -> (Option<i32>, String) {
    let output = run(command);
    (output.status.code(), text(&output.stdout).trim().to_owned())
}

#[test]
fn a_hit_is_0_and_a_miss_is_10() {
    let (world, spec) = world();
    let daemon = world.daemon();
    assert_eq!(outcome(&mut probe(&world, &daemon, &spec)), (Some(10), "miss".to_owned()));
    assert_eq!(daemon.builds(), 0);
    succeed(world.client_of(&daemon, "client").arg("fetch").arg(&spec));
    assert_eq!(outcome(&mut probe(&world, &daemon, &spec)), (Some(0), "hit".to_owned()));
    succeed(world.client_of(&daemon, "prober").arg("fetch").arg(&spec));
    assert_eq!(outcome(&mut probe(&world, &daemon, &spec)), (Some(0), "here".to_owned()));
    let object = succeed(probe(&world, &daemon, &spec).arg("--json"));
    let object: Value = serde_json::from_str(&object).expect("JSON");
    assert_eq!((&object["version"], &object["state"]), (&json!(1), &json!("here")));
}

#[test]
fn a_root_that_is_computed_is_not_built_either() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let mut with: Value = serde_json::from_slice(&std::fs::read(&spec).expect("there")).expect("JSON");
    with["environment"][2] = "user".into();
    with["repositories"]["maker"] = with["repositories"]["main"].clone();
    with["repositories"]["made"] = json!({"repository": {"type": "computed", "repo": "maker", "target": ["", "one"]}});
    with["repositories"]["main"]["bindings"] = json!({"made": "made"});
    let with = world.write("with.json", with.to_string());
    assert_eq!(outcome(&mut probe(&world, &daemon, &with)), (Some(10), "miss".to_owned()));
    let object = run(probe(&world, &daemon, &with).arg("--json"));
    let object: Value = serde_json::from_slice(&object.stdout).expect("JSON");
    assert_eq!((&object["state"], &object["key"]), (&json!("miss"), &json!(null)));
    let stderr = fail(world.client_of(&daemon, "prober").arg("explain").arg(&with), 10);
    assert!(stderr.contains("computed from environment `one`, which is not built"), "{stderr}");
    assert_eq!(daemon.builds(), 0);
    succeed(world.client_of(&daemon, "client").arg("fetch").arg(&spec));
    assert_eq!(outcome(&mut probe(&world, &daemon, &with)), (Some(10), "miss".to_owned()));
    assert_eq!(daemon.builds(), 1, "the root is known now, and still nothing was built by a probe");
    succeed(world.client_of(&daemon, "client").arg("fetch").arg(&with));
    assert_eq!(outcome(&mut probe(&world, &daemon, &with)), (Some(0), "hit".to_owned()));
}

#[test]
fn what_stands_in_the_way_has_the_code_that_a_fetch_would_have() {
    let (world, spec) = world();
    let nowhere = |arguments: &[&str]| {
        let mut command = world.client("prober");
        command.env("ENVSERVE_SERVE", "127.0.0.1:1").args(["fetch", "--probe"]).arg(&spec).args(arguments);
        command
    };
    fail(&mut nowhere(&[]), 11);
    fail(&mut nowhere(&["--on-unavailable", "wait", "--wait-seconds", "1"]), 17);

    let daemon = world.daemon();
    let mut open: Value = serde_json::from_slice(&std::fs::read(&spec).expect("there")).expect("JSON");
    open["repositories"]["main"]["repository"]["pragma"] = json!({});
    let open = world.write("open.json", open.to_string());
    let stderr = fail(&mut probe(&world, &daemon, &open), 13);
    assert!(stderr.contains("`main` is not fixed by content"), "{stderr}");
    fail(probe(&world, &daemon, &spec).args(["-e", "main", "", "none"]), 1);
    fail(probe(&world, &daemon, &spec).arg("--absent"), 2);
    fail(&mut probe(&world, &daemon, Path::new("no-such.json")), 1);
    assert_eq!(daemon.builds(), 0);

    let tokens = world.write("tokens", "the-token\n");
    let closed = Daemon::start(&world.path("closed"), &["--token-file", tokens.to_str().expect("a name")]);
    fail(&mut probe(&world, &closed, &spec), 14);
    assert_eq!(closed.builds(), 0);
}
