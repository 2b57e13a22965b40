//! `fetch --sources`: all that a spec is made from, into a directory or the CAS of the server.

use std::fs;

use serde_json::{Value, json};

use super::{Sources, absent};
use crate::support::{contents, fail, succeed, tree};

#[test]
fn all_files_of_a_spec_go_into_a_distdir_with_which_nothing_is_fetched_again() {
    let sources = Sources::new();
    sources.make("printf tool >tool");
    let tool = json!({"type": "foreign file", "content": sources.blob("tool"), "fetch": sources.address("tool"),
        "name": "other", "distfile": "tool-1.0"});
    let away = absent(sources.archive("away.tar.gz"));
    let distdir = json!({"type": "distdir", "repositories": ["a", "tool", "away"]});
    let more = json!({"a": sources.archive("a.tar.gz"), "tool": tool, "away": away});
    let spec = sources.spec_with("spec.json", &distdir, &more);
    let into = sources.world.path("into");
    let fetch = |client: &str, more: &[&str]| {
        let mut command = sources.world.client(client);
        succeed(command.args(["fetch", "--sources", "--json", "--distdir"]).arg(&into).args(more).arg(&spec))
    };
    let said: Value = serde_json::from_str(&fetch("one", &[])).expect("JSON");
    let names: Vec<String> = tree(&into).keys().map(|path| path.display().to_string()).collect();
    assert_eq!(names, ["a.tar.gz", "tool-1.0"], "absent roots are left out");
    assert_eq!(said["sources"].as_array().expect("a list").len(), 2);
    sources.web.asked();
    fetch("two", &[]);
    assert!(sources.web.asked().is_empty(), "they are there");
    fetch("two", &["--fetch-absent"]);
    assert_eq!(sources.web.asked(), ["away.tar.gz"]);
    assert_eq!(tree(&into).len(), 3);
    // A file that was damaged is replaced.
    fs::write(into.join("tool-1.0"), "x").expect("ours");
    fetch("three", &[]);
    assert_eq!(fs::read_to_string(into.join("tool-1.0")).expect("there"), "tool");
}

#[test]
fn after_a_backup_every_root_may_be_absent() {
    let sources = Sources::new();
    let daemon = sources.world.daemon();
    let mut special = sources.archive("s.tar.gz");
    special["pragma"] = json!({"special": "resolve-partially"});
    let roots = json!({
        "archive": sources.archive("a.tar.gz"),
        "special": special,
        "commit": sources.commit(),
        "file": {"type": "file", "path": "content", "pragma": {"to_git": true}},
    });
    for (name, root) in roots.as_object().expect("roots") {
        let spec = sources.spec(root);
        succeed(sources.client(&daemon, "one", &["fetch", "--sources", "--backup-to-remote"]).arg(&spec));
        let mut far: Value = serde_json::from_slice(&fs::read(&spec).expect("written")).expect("JSON");
        far["repositories"]["data"]["repository"] = absent(root.clone());
        if name == "file" {
            let tree = json!({"type": "git tree", "id": sources.tree, "cmd": ["false"]});
            far["repositories"]["data"]["repository"] = absent(tree);
        }
        let main = succeed(sources.client(&daemon, "one", &["resolve"]).arg(&spec));
        let main: Value = serde_json::from_str(&main).expect("JSON");
        let id = &main["repositories"]["main"]["root"][1];
        far["repositories"]["main"]["repository"] = absent(json!({"type": "git tree", "id": id, "cmd": ["false"]}));
        let far = sources.world.write(&format!("far-{name}/spec.json"), far.to_string());
        sources.web.asked();
        let fetched = succeed(sources.client(&daemon, &format!("two-{name}"), &["fetch"]).arg(&far));
        assert!(!contents(fetched.as_ref()).is_empty());
        assert!(sources.web.asked().is_empty(), "{name} was fetched");
    }
}

#[test]
fn sources_need_a_place() {
    let sources = Sources::new();
    let spec = sources.spec(&sources.archive("a.tar.gz"));
    let stderr = fail(sources.world.client("client").args(["fetch", "--sources"]).arg(&spec), 2);
    assert!(stderr.contains("--distdir"), "{stderr}");
    let stderr = fail(sources.world.client("client").args(["fetch", "--sources", "--backup-to-remote"]).arg(&spec), 2);
    assert!(stderr.contains("--serve"), "{stderr}");
}
