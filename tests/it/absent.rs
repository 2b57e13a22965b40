//! Clients that never have the sources.

use std::path::Path;

use serde_json::json;

use crate::support::{World, contents, fail, files, script, spec, succeed};

#[test]
fn a_client_with_absent_roots_gets_the_same_and_never_a_source() {
    let world = World::new();
    world.write("data/secret", "source that must not travel");
    let count = json!({
        "count": {
            "type": "tree",
            "inputs": {"in": {"root": "data"}},
            "cmd": ["/bin/sh", "-c", "/usr/bin/wc -c <in/secret >out"],
            "outs": ["out"],
        },
    });
    world.write("source/ENVS", count.to_string());
    let mut present = spec("count");
    present["repositories"]["main"]["bindings"] = json!({"data": "data"});
    present["repositories"]["data"]["repository"] = json!({"type": "file", "path": "data", "pragma": {"to_git": true}});
    let path = world.write("spec.json", present.to_string());
    let daemon = world.daemon();
    let first = succeed(world.client_of(&daemon, "one").arg("fetch").arg(&path));

    let resolved = succeed(world.client_of(&daemon, "one").arg("resolve").arg(&path));
    let resolved: serde_json::Value = serde_json::from_str(&resolved).expect("JSON");
    let absent = |name: &str| {
        let id = &resolved["repositories"][name]["root"][1];
        json!({"type": "git tree", "id": id, "cmd": ["false"], "pragma": {"absent": true}})
    };
    let mut far = present.clone();
    for name in ["main", "data"] {
        far["repositories"][name]["repository"] = absent(name);
    }
    let far = world.write("elsewhere/spec.json", far.to_string());
    let second = succeed(world.client_of(&daemon, "two").arg("fetch").arg(&far));
    assert_eq!(contents(Path::new(&first)), contents(Path::new(&second)));
    assert_eq!(daemon.builds(), 1);
    for file in files(&world.path("two")) {
        let bytes = std::fs::read(&file).expect("readable");
        assert!(!bytes.windows(11).any(|part| part == b"source that"), "{}", file.display());
    }
}

#[test]
fn an_absent_root_that_nobody_knows_is_named() {
    let world = World::new();
    let mut unknown = spec("x");
    let id = "12".repeat(20);
    unknown["repositories"]["main"]["repository"] =
        json!({"type": "git tree", "id": id, "cmd": ["false"], "pragma": {"absent": true}});
    let path = world.write("spec.json", unknown.to_string());
    let daemon = world.daemon();
    let stderr = fail(world.client_of(&daemon, "client").arg("fetch").arg(&path), 1);
    assert!(stderr.contains("`main`") && stderr.contains(&id) && stderr.contains(&daemon.address), "{stderr}");
}

#[test]
fn only_the_digest_is_handed_over_when_nothing_is_to_be_fetched() {
    let world = World::new();
    let path = world.spec("one", &json!({"one": script("echo x >out", &["out"])}));
    let daemon = world.daemon();
    let digest = succeed(world.client_of(&daemon, "client").args(["fetch", "--absent"]).arg(&path));
    let (function, rest) = digest.split_once(':').expect("FUNCTION:HASH/SIZE");
    assert_eq!((function, rest.split_once('/').expect("HASH/SIZE").0.len()), ("blake3", 64));
    assert!(!world.path("client/environments").exists());
}
