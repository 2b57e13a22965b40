use serde_json::{Value, json};

use super::*;
use crate::spec::error::SpecError;
use crate::spec::object::Node;
use crate::spec::place::Place;

const ID: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

fn read(value: Value) -> Result<Root, SpecError> {
    Root::read(Node::new(Place::new("spec.json").key("repositories").key("r").key("repository"), value), "r")
}

fn refused(value: Value) -> (SpecError, String) {
    let error = read(value).unwrap_err();
    let text = error.to_string();
    (error, text)
}

#[test]
fn every_type_is_read_with_all_its_fields() {
    let file = json!({"content": ID, "fetch": "https://x.org/a.tgz?x=/y", "mirrors": ["https://y.org"],
        "distfile": "a.tgz", "sha256": "0".repeat(64), "sha512": "f".repeat(128)});
    let with = |more: Value| {
        let mut object = file.as_object().unwrap().clone();
        object.extend(more.as_object().unwrap().clone());
        Value::Object(object)
    };
    let roots = [
        json!({"type": "file", "path": "/src", "pragma": {"to_git": true, "absent": true, "special": "ignore"}}),
        json!({"type": "git", "repository": "u", "branch": "b", "commit": ID, "mirrors": ["m"], "subdir": "a/b",
            "inherit env": ["HOME"], "pragma": {"special": "ignore"}}),
        with(json!({"type": "archive", "subdir": "x", "pragma": {"special": "resolve-completely"}})),
        with(json!({"type": "zip", "subdir": "."})),
        with(json!({"type": "foreign file", "name": "tool", "executable": true})),
        json!({"type": "git tree", "id": ID, "cmd": ["make"], "env": {"A": "b"}, "inherit env": ["SSH_AUTH_SOCK"],
            "pragma": {"absent": true}}),
        json!({"type": "distdir", "repositories": ["a"]}),
        json!({"type": "computed", "repo": "a", "target": ["m", "n"], "config": {"A": 1}}),
        json!({"type": "tree structure", "repo": "a", "x-why": "because"}),
    ];
    for root in roots {
        let kind = root["type"].clone();
        assert_eq!(read(root).unwrap().kind(), kind);
    }
}

#[test]
fn a_download_is_named_by_its_address_unless_it_has_a_name() {
    let root = json!({"type": "archive", "content": ID, "fetch": "https://x.org/d/a.tgz?x=/y#z"});
    let Root::Archive { download, .. } = read(root).unwrap() else { panic!("not an archive") };
    assert_eq!(download.file_name(), "a.tgz");
}

#[test]
fn a_branch_without_a_commit_is_not_content_fixed() {
    let (error, text) = refused(json!({"type": "git", "repository": "https://x.org/e.git", "branch": "main"}));
    assert!(matches!(&error, SpecError::NotContentFixed { repository, .. } if repository == "r"));
    assert!(text.contains("`r`") && text.contains("`main`"), "{text}");
    assert!(error.hint().unwrap().contains("git ls-remote https://x.org/e.git refs/heads/main"));
}

#[test]
fn an_unknown_type_is_told_with_the_nearest() {
    let (error, text) = refused(json!({"type": "git-tree"}));
    assert!(matches!(error, SpecError::UnknownType { .. }));
    assert_eq!(text, "spec.json: repositories.r.repository.type: unknown type `git-tree`; did you mean `git tree`?");
}

#[test]
fn an_unknown_key_is_told_before_the_one_that_it_should_have_been() {
    let (_, text) = refused(json!({"type": "git", "repository": "u", "branch": "b", "comit": ID}));
    assert_eq!(text, "spec.json: repositories.r.repository: unknown key `comit`; did you mean `commit`?");
}

#[test]
fn a_value_that_makes_no_sense_is_told_with_its_place() {
    let git = |key: &str, value: Value| {
        let mut root = json!({"type": "git", "repository": "u", "branch": "b", "commit": ID});
        root[key] = value;
        root
    };
    let cases = [
        (git("commit", json!("main")), "repository.commit: `main`"),
        (git("subdir", json!("../x")), "repository.subdir: `../x`"),
        (git("pragma", json!({"special": "resolve-completely"})), "repository.pragma.special"),
        (json!({"type": "computed", "repo": "a", "target": ["n"]}), "repository.target"),
        (json!({"type": "foreign file", "content": ID, "fetch": "u", "name": "a/b"}), "repository.name: `a/b`"),
        (json!({"type": "archive", "content": ID, "fetch": "u", "sha256": "AB"}), "repository.sha256: `AB`"),
        (json!({"type": "git tree", "id": ID, "cmd": []}), "repository.cmd"),
    ];
    for (root, place) in cases {
        let (error, text) = refused(root);
        assert!(matches!(error, SpecError::Invalid { .. }), "{error:?}");
        assert!(text.contains(place), "{text}");
    }
}

#[test]
fn only_a_file_root_is_imported() {
    let (error, text) = refused(json!({"type": "tree structure", "repo": "a", "pragma": {"to_git": true}}));
    assert!(matches!(error, SpecError::UnknownKey { .. }), "{text}");
}

#[test]
fn a_file_root_whose_links_are_resolved_is_imported() {
    let root = read(json!({"type": "file", "path": ".", "pragma": {"special": "resolve-partially"}})).unwrap();
    assert!(root.pragma().to_git);
}

#[test]
fn a_root_without_a_type_is_refused() {
    assert!(matches!(refused(json!({})).0, SpecError::MissingKey { key: "type", .. }));
    assert!(matches!(refused(json!("other")).0, SpecError::WrongType { .. }));
    assert!(matches!(refused(json!({"type": 1})).0, SpecError::WrongType { .. }));
}
