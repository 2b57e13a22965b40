//! Roots that are made from others: the tree of an environment, the shape of a root.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{Sources, absent, resolved};
use crate::support::{fail, files, git, succeed};

const MAKES: &str = "mkdir -p made/sub && cat in/a/deep/file >made/sub/{{NAME}} && ln -s sub made/link";

fn computed(sources: &Sources, config: &serde_json::Value) -> (serde_json::Value, serde_json::Value) {
    let environment = json!({"made": {"type": "tree", "flexible_config": ["NAME"], "inputs": {"in": {"root": "src"}},
        "cmd": ["/bin/sh", "-c", MAKES], "outs": ["made"], "env": {"PATH": "/usr/bin:/bin"}}});
    sources.world.write("maker/ENVS", environment.to_string());
    let maker = json!({"repository": {"type": "file", "path": "maker", "pragma": {"to_git": true}},
        "bindings": {"src": "src"}});
    let root = json!({"type": "computed", "repo": "maker", "target": ["", "made"], "config": config});
    (root, maker)
}

fn write_spec(sources: &Sources, data: &serde_json::Value, maker: &serde_json::Value) -> std::path::PathBuf {
    let path = sources.spec_with("spec.json", data, &json!({"src": sources.archive("a.tar.gz")}));
    let mut spec: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("written")).expect("JSON");
    spec["repositories"]["maker"] = maker.clone();
    sources.world.write("spec.json", spec.to_string())
}

#[test]
fn an_environment_is_a_root_of_another_and_its_bytes_stay_at_the_server() {
    let sources = Sources::new();
    let (root, maker) = computed(&sources, &json!({"NAME": "x"}));
    let expected = tempfile::tempdir().expect("temporary");
    fs::create_dir_all(expected.path().join("made/sub")).expect("temporary");
    fs::write(expected.path().join("made/sub/x"), "one\n").expect("temporary");
    std::os::unix::fs::symlink("sub", expected.path().join("made/link")).expect("temporary");
    git(expected.path(), &["init", "-q"]);
    git(expected.path(), &["add", "-A"]);
    let tree = git(expected.path(), &["write-tree"]);

    let daemon = sources.world.daemon();
    for (client, root) in [("one", root.clone()), ("two", absent(root))] {
        let spec = write_spec(&sources, &root, &maker);
        assert_eq!(resolved(&mut sources.client(&daemon, client, &[]), &spec), tree);
        assert!(!sources.world.path(client).join("environments").exists(), "nothing of it was fetched");
        let fetched = succeed(sources.client(&daemon, client, &["fetch"]).arg(&spec));
        assert_eq!(fs::read_to_string(Path::new(&fetched).join("in/made/sub/x")).expect("there"), "one\n");
    }
    assert_eq!(daemon.builds(), 2, "the computed one and the one that uses it, each once");
}

#[test]
fn a_computed_root_that_is_known_opens_no_connection() {
    let sources = Sources::new();
    let (root, maker) = computed(&sources, &json!({"NAME": "x"}));
    let spec = write_spec(&sources, &root, &maker);
    let daemon = sources.world.daemon();
    let first = succeed(sources.client(&daemon, "client", &["fetch"]).arg(&spec));
    assert!(daemon.log().contains("listening"));
    let gone = daemon.address.clone();
    assert!(daemon.terminate().success());
    let again = succeed(sources.world.client("client").env("ENVSERVE_SERVE", gone).arg("fetch").arg(&spec));
    assert_eq!(again, first);
}

#[test]
fn a_computed_root_that_fails_to_build_shows_its_log() {
    let sources = Sources::new();
    let (root, maker) = computed(&sources, &json!({"NAME": "no/such/directory"}));
    let spec = write_spec(&sources, &root, &maker);
    let daemon = sources.world.daemon();
    let stderr = fail(sources.client(&daemon, "client", &["fetch"]).arg(&spec), 16);
    assert!(stderr.contains("`made` failed to build") && stderr.contains("no/such/directory"), "{stderr}");
}

#[test]
fn the_structure_of_a_root_does_not_change_with_its_content() {
    let sources = Sources::new();
    let mut archive = sources.archive("a.tar.gz");
    archive["pragma"] = json!({"special": "ignore"});
    let shape = json!({"type": "tree structure", "repo": "src"});
    let spec = |src: &serde_json::Value| sources.spec_with("spec.json", &shape, &json!({"src": src}));
    let daemon = sources.world.daemon();
    let first = resolved(&mut sources.client(&daemon, "one", &[]), &spec(&archive));
    let fetched = succeed(sources.client(&daemon, "one", &["fetch"]).arg(spec(&archive)));
    let found = files(&Path::new(&fetched).join("in"));
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|file| fs::metadata(file).expect("there").len() == 0));

    fs::write(sources.content.join("a/deep/file"), "other").expect("ours");
    let mut other = sources.archive("b.tar.gz");
    other["pragma"] = json!({"special": "ignore"});
    assert_eq!(resolved(&mut sources.client(&daemon, "one", &[]), &spec(&other)), first);
    // A client that has nothing is told by a server that has it all.
    let known = spec(&archive);
    succeed(sources.client(&daemon, "one", &["fetch", "--sources", "--backup-to-remote"]).arg(&known));
    sources.web.asked();
    assert_eq!(resolved(&mut sources.client(&daemon, "two", &[]), &spec(&absent(archive))), first);
    assert!(sources.web.asked().is_empty());
}
