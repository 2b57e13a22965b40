//! Clients that never have the sources.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::{World, contents, fail, files, run, script, spec, succeed, text};

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

/// A world with an environment of two repositories, one of which is made in a way that others cannot repeat.
fn two_repositories() -> (World, std::path::PathBuf) {
    let world = World::new();
    world.write("data/secret", "source that must not travel");
    let mut count = script("echo {{WHO}} >out; /usr/bin/wc -c <in/secret >>out", &["out"]);
    count["inputs"] = json!({"in": {"root": "data"}});
    count["flexible_config"] = json!(["WHO"]);
    world.write("source/ENVS", json!({"count": count}).to_string());
    let mut spec = spec("count");
    spec["config"] = json!({"WHO": "one", "UNSEEN": 1});
    spec["properties"] = json!({"OSFamily": "linux"});
    spec["repositories"]["main"]["bindings"] = json!({"data": "files"});
    spec["repositories"]["files"]["repository"] =
        json!({"type": "file", "path": "data", "pragma": {"special": "resolve-completely"}});
    let spec = world.write("spec.json", spec.to_string());
    (world, spec)
}

#[test]
fn a_resolved_spec_is_enough_for_a_host_without_the_sources() {
    let (world, spec) = two_repositories();
    let daemon = world.daemon();
    let first = succeed(world.client_of(&daemon, "one").arg("fetch").arg(&spec));
    let key = succeed(world.client_of(&daemon, "one").arg("key").arg(&spec));
    let resolve = |client: &str, spec: &Path| {
        let output = run(world.client_of(&daemon, client).args(["resolve", "--absent"]).arg(spec));
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let (resolved, stderr) = resolve("one", &spec);
    assert_eq!(stderr, "", "the server knows all roots");
    let handed = world.write("elsewhere/handed.json", &resolved);
    for gone in ["data", "source"] {
        fs::rename(world.path(gone), world.path(&format!("gone-{gone}"))).expect("temporary");
    }

    assert_eq!(succeed(world.client_of(&daemon, "two").arg("key").arg(&handed)), key);
    assert_eq!(resolve("two", &handed).0, resolved, "it is resolved already");
    let second = succeed(world.client_of(&daemon, "two").arg("fetch").arg(&handed));
    assert_eq!(contents(Path::new(&first)), contents(Path::new(&second)));
    assert_eq!(daemon.builds(), 1);

    // What nobody has built yet is built from the roots that the server knows.
    let third = succeed(world.client_of(&daemon, "two").arg("fetch").arg(&handed).args(["-c", "WHO=two"]));
    assert_eq!(fs::read_to_string(Path::new(&third).join("out")).expect("there"), "two\n27\n");
    assert_eq!(daemon.builds(), 2);
    for file in files(&world.path("two")) {
        let held = fs::read(&file).unwrap_or_default();
        assert!(!held.windows(24).any(|part| part == b"source that must not tra"), "{}", file.display());
    }
}

#[test]
fn a_resolved_spec_whose_roots_are_nowhere_names_the_repository() {
    let (world, spec) = two_repositories();
    let daemon = world.daemon();
    let output = run(world.client_of(&daemon, "one").args(["resolve", "--absent"]).arg(&spec));
    let stderr = text(&output.stderr);
    assert!(output.status.success() && stderr.contains("does not know the root of `files`"), "{stderr}");
    let handed = world.write("elsewhere/handed.json", output.stdout);
    let stderr = fail(world.client_of(&daemon, "two").arg("fetch").arg(&handed), 1);
    assert!(stderr.contains("the absent root of repository `main` ("), "{stderr}");

    succeed(world.client_of(&daemon, "one").args(["fetch", "--sources", "--backup-to-remote"]).arg(&spec));
    let fetched = succeed(world.client_of(&daemon, "two").arg("fetch").arg(&handed));
    assert_eq!(fs::read_to_string(Path::new(&fetched).join("out")).expect("there"), "one\n27\n");
}
