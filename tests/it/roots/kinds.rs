//! The tree of each type of root is the one that Git computes of its content.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Sources, resolved};
use crate::support::{contents, files, git, succeed};

/// Resolves a root without a server, then fetches it, and compares both with the content.
fn assert_is_content(sources: &Sources, root: &Value, client: &str) {
    let spec = sources.spec(root);
    assert_eq!(resolved(&mut sources.world.client(client), &spec), sources.tree, "{root}");
    let fetched = succeed(sources.world.client(client).arg("fetch").arg(&spec));
    assert_eq!(modes(&Path::new(&fetched).join("in")), modes(&sources.content), "{root}");
}

/// Returns what a directory holds, with only the executable bit of the modes.
fn modes(directory: &Path) -> Vec<(String, u32, Vec<u8>)> {
    contents(directory).into_iter().map(|(name, mode, bytes)| (name, mode & 0o100, bytes)).collect()
}

#[test]
fn archives_of_every_compression() {
    let sources = Sources::new();
    for name in ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.tar.zst"] {
        assert_is_content(&sources, &sources.archive(name), name);
    }
    sources.make("tar -C \"$1\" -cf - . | lz4 -q >a.tar.lz4");
    let root = json!({"type": "archive", "content": sources.blob("a.tar.lz4"), "fetch": sources.address("a.tar.lz4")});
    assert_is_content(&sources, &root, "lz4");
}

#[test]
fn a_zip_and_a_directory_in_it() {
    let sources = Sources::new();
    sources
        .make("there=$PWD && cd \"$1\" && zip -qyr \"$there/a.zip\" . && cd .. && zip -qyr \"$there/b.zip\" content");
    let root = |name: &str| json!({"type": "zip", "content": sources.blob(name), "fetch": sources.address(name)});
    assert_is_content(&sources, &root("a.zip"), "whole");
    let mut inner = root("b.zip");
    inner["subdir"] = json!("content");
    assert_is_content(&sources, &inner, "inner");
}

#[test]
fn a_commit_over_files_and_a_directory_of_this_host() {
    let sources = Sources::new();
    assert_is_content(&sources, &sources.commit(), "commit");
    let mut over_files = sources.commit();
    over_files["repository"] = json!(format!("file://{}", sources.world.path("git").display()));
    assert_is_content(&sources, &over_files, "files");
    let mut beside = sources.commit();
    beside["repository"] = json!("./git");
    assert_is_content(&sources, &beside, "beside");
    assert_is_content(&sources, &json!({"type": "file", "path": "content", "pragma": {"to_git": true}}), "file");
}

#[test]
fn what_a_command_leaves() {
    let sources = Sources::new();
    assert_is_content(&sources, &sources.command(), "client");
}

#[test]
fn a_file_by_itself_and_files_together() {
    let sources = Sources::new();
    sources.make("printf tool >tool && printf '#!/bin/sh\\n' >run");
    let file = |name: &str, executable| {
        json!({"type": "foreign file", "content": sources.blob(name), "fetch": sources.address(name),
            "name": format!("the {name}"), "executable": executable})
    };
    let archive = sources.archive("a.tar.gz");
    let distdir = json!({"type": "distdir", "repositories": ["one", "two", "three"]});
    let expected = |files: &[(&str, &str, bool)]| {
        let directory = tempfile::tempdir().expect("temporary");
        git(directory.path(), &["init", "-q"]);
        for (from, name, executable) in files {
            fs::copy(sources.world.path("web").join(from), directory.path().join(name)).expect("there");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(if *executable { 0o755 } else { 0o644 });
            fs::set_permissions(directory.path().join(name), mode).expect("ours");
        }
        git(directory.path(), &["add", "-A"]);
        git(directory.path(), &["write-tree"])
    };
    let more = json!({"one": archive, "two": sources.archive("b.tar.xz"), "three": file("run", true)});
    let cases = [
        (file("tool", false), expected(&[("tool", "the tool", false)]), 1),
        (file("run", true), expected(&[("run", "the run", true)]), 1),
        (distdir, expected(&[("a.tar.gz", "a.tar.gz", false), ("b.tar.xz", "b.tar.xz", false)]), 2),
    ];
    for (root, tree, count) in cases {
        let spec = sources.spec_with("spec.json", &root, &more);
        assert_eq!(resolved(&mut sources.world.client("client"), &spec), tree, "{root}");
        assert!(sources.web.asked().is_empty(), "the tree of files is known without them");
        let fetched = succeed(sources.world.client("client").arg("fetch").arg(&spec));
        assert_eq!(files(&Path::new(&fetched).join("in")).len(), count);
        assert!(!sources.web.asked().is_empty());
        fs::remove_dir_all(sources.world.path("client/memo")).expect("there");
    }
}

#[test]
fn symlinks_are_left_out_or_resolved_in_roots_that_allow_it() {
    let sources = Sources::new();
    let tree_after = |change: &str| {
        let directory = tempfile::tempdir().expect("temporary");
        let script = format!("cp -a \"$1\"/. . && {change} && git init -q && git add -A");
        let mut command = std::process::Command::new("sh");
        succeed(command.args(["-euc", &script, "sh"]).arg(&sources.content).current_dir(directory.path()));
        git(directory.path(), &["write-tree"])
    };
    let cases = [
        ("ignore", tree_after("rm a/down a/deep/up")),
        ("resolve-partially", tree_after("rm a/deep/up && cp b a/deep/up")),
        ("resolve-completely", tree_after("rm a/deep/up a/down && cp b a/deep/up && cp a/deep/file a/down")),
    ];
    let archive = sources.archive("a.tar.gz");
    let daemon = sources.world.daemon();
    for (special, tree) in cases {
        let treated = |mut root: Value| {
            root["pragma"]["special"] = json!(special);
            root
        };
        let file = treated(json!({"type": "file", "path": "content", "pragma": {"to_git": true}}));
        let mut roots = vec![treated(archive.clone()), file];
        if special == "ignore" {
            roots.push(treated(sources.commit()));
            roots.push(treated(sources.command()));
        }
        for root in roots {
            let spec = sources.spec(&root);
            let client = format!("{special}-{}", root["type"].as_str().expect("text"));
            assert_eq!(resolved(&mut sources.world.client(&client), &spec), tree, "{root}");
            succeed(sources.client(&daemon, &format!("{client}-far"), &["fetch"]).arg(&spec));
        }
    }
}
