//! Clients that have no sources at all, after a prefill with `--sources`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Farm;
use crate::support::{files, run, script, spec, succeed, text};

/// A spec of two roots: what is in one of them decides what is built.
fn two_roots(farm: &Farm) -> Value {
    farm.world.write("data/secret", "source that must not travel");
    let mut count = script("echo {{WHO}} >out; wc -c <in/secret >>out", &["out"]);
    count["flexible_config"] = json!(["WHO"]);
    count["inputs"] = json!({"in": {"root": "data"}});
    farm.environments(&json!({"count": count}));
    let mut spec = spec("count");
    spec["config"] = json!({"WHO": "one"});
    spec["repositories"]["main"]["bindings"] = json!({"data": "files"});
    spec["repositories"]["files"]["repository"] = json!({"type": "file", "path": "data", "pragma": {"to_git": true}});
    spec
}

#[test]
fn whoever_has_no_sources_gets_what_was_filled_and_what_was_not() {
    let farm = Farm::new();
    let spec = two_roots(&farm);
    farm.world.write("spec.json", spec.to_string());
    let report = farm.fill("ci", &["spec.json", "--sources"]);
    let roots = &report["sources"][0]["roots"];
    assert_eq!((&roots[0]["repository"], &roots[1]["repository"]), (&json!("files"), &json!("main")), "{report}");
    assert_eq!(report["sources"][0]["error"], Value::Null);
    let resolve =
        run(farm.world.client_of(&farm.daemon, "ci").args(["resolve", "--absent"]).arg(farm.world.path("spec.json")));
    assert_eq!(text(&resolve.stderr), "", "the server knows every root");
    let handed = farm.world.write("elsewhere/handed.json", &resolve.stdout);
    for gone in ["data", "source", "ci"] {
        fs::rename(farm.world.path(gone), farm.world.path(&format!("gone-{gone}"))).expect("temporary");
    }
    for who in ["one", "two"] {
        let mut fetch = farm.world.client_of(&farm.daemon, "reader");
        let fetched = succeed(fetch.arg("fetch").arg(&handed).args(["-c", &format!("WHO={who}")]));
        assert_eq!(fs::read_to_string(Path::new(&fetched).join("out")).expect("there"), format!("{who}\n27\n"));
    }
    assert_eq!(farm.daemon.builds(), 2, "the second from sources that only the server has");
    for file in files(&farm.world.path("reader")) {
        let bytes = fs::read(&file).expect("readable");
        assert!(!bytes.windows(11).any(|part| part == b"source that"), "{}", file.display());
    }
}

#[test]
fn sources_that_cannot_be_had_are_a_failure_of_their_own() {
    let farm = Farm::new();
    let mut spec = two_roots(&farm);
    farm.world.write("good.json", spec.to_string());
    succeed(farm.command("ci").arg(farm.world.path("good.json")));
    // Bound, and of no use to the environment: it is not needed to build it.
    spec["repositories"]["main"]["bindings"]["more"] = json!("more");
    spec["repositories"]["more"]["repository"] =
        json!({"type": "git tree", "id": "12".repeat(20), "cmd": ["false"], "pragma": {"absent": true}});
    farm.world.write("bad.json", spec.to_string());
    let report = farm.fill("ci", &["bad.json", "good.json", "--sources"]);
    assert!(report["sources"][0]["error"]["message"].as_str().expect("a text").contains("`more`"), "{report}");
    assert_eq!(report["sources"][1]["error"], Value::Null, "{report}");
    let mut strict = farm.command("ci");
    strict.args(["bad.json", "--sources", "--strict"]).current_dir(farm.world.path(""));
    assert_eq!(run(&mut strict).status.code(), Some(1));
}
