//! The ids of roots are those that just-mr computes, the specialities of its symlinks included.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use super::Sources;
use crate::support::{path, succeed};

/// Adds symlinks that are resolved in every way that there is.
fn add_links(sources: &Sources) {
    let content = &sources.content;
    fs::create_dir_all(content.join("x")).expect("temporary");
    fs::create_dir_all(content.join("only")).expect("temporary");
    let links = [
        ("a/deep", "dir"),
        ("../a/deep", "x/dir"),
        ("deep/../../a/./deep//file", "a/around"),
        ("down", "a/chain"),
        ("../b", "only/link"),
        ("../a/run", "x/run"),
    ];
    for (target, name) in links {
        symlink(target, content.join(name)).expect("temporary");
    }
}

#[test]
fn just_mr_computes_the_same_ids() {
    let sources = Sources::new();
    add_links(&sources);
    sources.make("there=$PWD && cd \"$1/..\" && zip -qyr \"$there/a.zip\" content && printf tool >\"$there/tool\"");
    let file =
        |kind: &str, name: &str| json!({"type": kind, "content": sources.blob(name), "fetch": sources.address(name)});
    let with = |mut root: Value, field: &str, value: Value| {
        root[field] = value;
        root
    };
    let special = |root: &Value, special: &str| with(root.clone(), "pragma", json!({"special": special}));
    let archive = sources.archive("a.tar.gz");
    let zip = with(file("zip", "a.zip"), "subdir", json!("content"));
    let tool = with(with(file("foreign file", "tool"), "name", json!("named")), "executable", json!(true));
    let directory = json!({"type": "file", "path": sources.content, "pragma": {"to_git": true}});
    let roots = [
        ("archive", archive.clone()),
        ("ignore", special(&archive, "ignore")),
        ("partially", special(&archive, "resolve-partially")),
        ("completely", special(&archive, "resolve-completely")),
        ("below", special(&with(archive.clone(), "subdir", json!("a")), "ignore")),
        ("zip", zip.clone()),
        ("zip completely", special(&zip, "resolve-completely")),
        ("tool", tool),
        ("distdir", json!({"type": "distdir", "repositories": ["archive", "tool"]})),
        ("commit", sources.commit()),
        ("file", directory.clone()),
        ("file completely", special(&directory, "resolve-completely")),
    ];
    let mut repositories: Value =
        roots.iter().map(|(name, root)| ((*name).to_owned(), json!({"repository": root}))).collect();
    let bindings: Value = roots.iter().map(|(name, _)| ((*name).to_owned(), json!(name))).collect();
    let main = json!({"type": "file", "path": sources.world.path("env"), "pragma": {"to_git": true}});
    repositories["main"] = json!({"repository": main, "bindings": bindings});

    let just = json!({"main": "main", "repositories": repositories});
    let just = sources.world.write("repos.json", just.to_string());
    let programs = path().iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":");
    let mut command = Command::new("just-mr");
    command.args(["--norc", "--local-build-root"]).arg(sources.world.path("just")).arg("-C").arg(just).arg("setup");
    let written = succeed(command.env("PATH", programs).env("HOME", sources.world.path("")));
    let theirs: Value = serde_json::from_slice(&fs::read(written).expect("it was written")).expect("JSON");

    let environments = json!({"all": {"type": "tree", "inputs": {}}});
    sources.world.write("env/ENVS", environments.to_string());
    let spec = json!({"environment": ["main", "", "all"], "repositories": repositories});
    let spec = sources.world.write("spec.json", spec.to_string());
    let ours = succeed(sources.world.client("client").arg("resolve").arg(spec));
    let ours: Value = serde_json::from_str(&ours).expect("JSON");
    for (name, _) in roots {
        let theirs = &theirs["repositories"][name]["workspace_root"][1];
        assert!(theirs.is_string(), "{name}");
        assert_eq!(&ours["repositories"][name]["root"][1], theirs, "{name}");
    }
}
