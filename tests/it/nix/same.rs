//! Equal expressions give equal objects: path, archive, size, references and deriver.

use serde_json::json;

use super::{Expression, content, descriptor, output, registered};
use crate::support::{Daemon, Endpoint, Kind, World, text};

#[test]
fn what_derivations_make_is_what_nix_makes_of_them() {
    let expression = Expression::features();
    let expected = expression.built_by_nix("everything");
    assert!(expected.len() > 20, "{} objects", expected.len());
    let daemon = expression.world.daemon();
    let answer = descriptor(&mut expression.world.client_of(&daemon, "client"), &expression.spec("everything"));
    let actual = registered(&daemon.address, &answer);
    let paths = |facts: &std::collections::BTreeMap<String, _>| facts.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&actual), paths(&expected));
    for (path, facts) in &expected {
        assert_eq!(actual.get(path), Some(facts), "{path}: {}", different(&expression, &daemon, &answer, path));
    }
}

/// Returns what an object is that should be another.
fn different(expression: &Expression, daemon: &Daemon, answer: &serde_json::Value, path: &str) -> String {
    let there = expression.world.path("store").join(&path[1..]);
    let theirs = std::fs::read(&there).map_or_else(|_| "a directory".into(), |bytes| text(&bytes));
    if there.is_dir() {
        theirs
    } else {
        format!("{theirs}\n---\n{}", text(&super::file(&daemon.address, answer, &path[1..])))
    }
}

#[test]
fn a_closure_of_three_hundred_is_what_nix_makes_of_it() {
    let expression = Expression::features();
    let expected = expression.built_by_nix("large");
    assert!(expected.len() > 300, "{} objects", expected.len());
    let daemon = expression.world.daemon();
    let answer = descriptor(&mut expression.world.client_of(&daemon, "client"), &expression.spec("large"));
    assert_eq!(registered(&daemon.address, &answer), expected);
}

#[test]
fn on_a_foreign_cluster_it_is_the_same() {
    Endpoint::with(Kind::BuildGrid, |endpoint| {
        let expression = Expression::features();
        let world = World::new();
        let daemon = Daemon::start(&world.path("serve"), &["--remote", &endpoint.address]);
        let expected = expression.built_by_nix("everything");
        let answer = descriptor(&mut expression.world.client_of(&daemon, "client"), &expression.spec("everything"));
        assert_eq!(registered(&endpoint.address, &answer), expected);
    });
}

#[test]
fn args_come_from_the_configuration_and_outputs_are_chosen() {
    let expression = Expression::features();
    let daemon = expression.world.daemon();
    let mut answers = Vec::new();
    for tag in ["one", "two"] {
        let fields = json!({"flexible_config": ["TAG"], "args": {"tag": "{{TAG}}"}, "outputs": ["dev", "out"]});
        let path = expression.spec_of("multiple", &fields);
        let mut spec: serde_json::Value = serde_json::from_slice(&std::fs::read(path).expect("there")).expect("JSON");
        spec["config"] = json!({"TAG": tag});
        let spec = expression.world.write("configured.json", spec.to_string());
        let mut client = expression.world.client_of(&daemon, "client");
        let answer = descriptor(&mut client, &spec);
        let outputs = answer["nix"]["outputs"].as_array().expect("a list");
        let names: Vec<&str> = outputs.iter().filter_map(|output| output["name"].as_str()).collect();
        assert_eq!(names, ["dev", "out"]);
        answers.push(output(&answer));
    }
    assert_ne!(answers[0], answers[1]);
}

#[test]
fn inputs_are_found_by_name_and_may_be_other_environments() {
    let expression = Expression::features();
    let world = &expression.world;
    let user = "let lib = import <lib> { }; in lib.make \"f\" { } \"cat ${<data>}/sub/file >$out; cat ${<lib>}/tree/file >>$out\"";
    world.write("source/user/default.nix", user);
    world.write("source/file", "of an environment\n");
    let environments = json!({
        "it": {
            "type": "nix",
            "expression": {"path": "user"},
            "inputs": {"lib": {"path": "source"}, "data": {"env": "data"}},
        },
        "data": {"type": "tree", "inputs": {"sub/file": {"path": "file"}}},
    });
    let spec = world.spec("it", &environments);
    let daemon = world.daemon();
    let answer = descriptor(&mut world.client_of(&daemon, "client"), &spec);
    assert_eq!(content(&daemon.address, &answer), "of an environment\ncontent");
}

#[test]
fn a_closure_is_an_input_like_any_other() {
    let expression = Expression::features();
    let world = &expression.world;
    let script = "find nix -name hello -type f | sed 's/[a-z0-9]*-script/script/' >out; test -s registration";
    let environments = json!({
        "it": {
            "type": "tree", "inputs": {"": {"env": "closure"}}, "cmd": ["/bin/sh", "-euc", script], "outs": ["out"],
            "env": {"PATH": "/usr/bin:/bin"},
        },
        "closure": {"type": "nix", "expression": {"path": "source"}, "attr": "script"},
    });
    let spec = world.spec("it", &environments);
    let directory = crate::support::succeed(world.client("client").arg("fetch").arg(&spec));
    let found = std::fs::read_to_string(format!("{directory}/out")).expect("made");
    assert_eq!(found, "nix/store/script/bin/hello\n");
}
