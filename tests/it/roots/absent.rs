//! Absent roots of every type: who has them, who fetches them, who is told when nobody can.

use std::fs;

use serde_json::{Value, json};

use super::{Sources, absent};
use crate::support::{Daemon, Proxy, contents, fail, run, succeed, text};

/// Returns a root of every type whose content is fetched, by the name of the type.
fn roots(sources: &Sources) -> Vec<(&'static str, Value)> {
    sources.make("there=$PWD && cd \"$1\" && zip -qyr \"$there/a.zip\" . && cd \"$there\" && printf tool >tool");
    let file =
        |kind: &str, name: &str| json!({"type": kind, "content": sources.blob(name), "fetch": sources.address(name)});
    let mut special = sources.archive("s.tar.xz");
    special["pragma"] = json!({"special": "resolve-completely"});
    let mut tool = file("foreign file", "tool");
    tool["name"] = json!("tool");
    vec![
        ("archive", sources.archive("a.tar.gz")),
        ("zip", file("zip", "a.zip")),
        ("special", special),
        ("foreign file", tool),
        ("distdir", json!({"type": "distdir", "repositories": ["one"]})),
        ("git", sources.commit()),
        ("structure", json!({"type": "tree structure", "repo": "one"})),
    ]
}

/// Returns those of them whose content goes to a server that asks for them. Of a structure it gets no more than that.
fn given_roots(sources: &Sources) -> Vec<(&'static str, Value)> {
    roots(sources).into_iter().filter(|(name, _)| *name != "structure").collect()
}

/// Writes a spec in which a root is absent, and what it is made from.
fn absent_spec(sources: &Sources, root: &Value) -> std::path::PathBuf {
    let mut one = sources.archive("one.tar.gz");
    one["pragma"] = json!({"special": "ignore"});
    sources.spec_with("absent.json", &absent(root.clone()), &json!({"one": absent(one)}))
}

fn present_spec(sources: &Sources, root: &Value) -> std::path::PathBuf {
    let mut one = sources.archive("one.tar.gz");
    one["pragma"] = json!({"special": "ignore"});
    sources.spec_with("present.json", root, &json!({"one": one}))
}

fn daemon(sources: &Sources, name: &str, options: &[&str]) -> Daemon {
    Daemon::start(&sources.world.path(name), options)
}

#[test]
fn what_nobody_knows_is_named() {
    let sources = Sources::new();
    let (first, second) = (daemon(&sources, "daemon", &[]), daemon(&sources, "other", &[]));
    for (name, root) in roots(&sources) {
        let spec = absent_spec(&sources, &root);
        sources.web.asked();
        let stderr = fail(sources.client(&first, "client", &["fetch"]).arg(&spec), 1);
        assert!(stderr.contains("absent root of repository") && stderr.contains(&first.address), "{name}: {stderr}");
        assert!(stderr.contains("hint: ") && stderr.contains("--fetch-absent"), "{name}: {stderr}");
        let stderr = fail(sources.world.client("alone").arg("fetch").arg(&spec), 1);
        assert!(stderr.contains("no server is configured"), "{name}: {stderr}");
        assert!(sources.web.asked().is_empty(), "{name} was fetched");
    }
    drop(second);
}

#[test]
fn what_the_server_knows_is_not_fetched_again() {
    let sources = Sources::new();
    for (name, root) in given_roots(&sources) {
        let daemon = daemon(&sources, &format!("daemon-{name}"), &[]);
        let first = succeed(sources.client(&daemon, "one", &["fetch"]).arg(present_spec(&sources, &root)));
        let spec = absent_spec(&sources, &root);
        fs::rename(sources.world.path("git"), sources.world.path("git-away")).expect("there");
        sources.web.asked();
        for client in ["two", "three"] {
            let second = succeed(sources.client(&daemon, &format!("{client}-{name}"), &["fetch"]).arg(&spec));
            assert_eq!(contents(first.as_ref()), contents(second.as_ref()), "{name}");
        }
        assert!(sources.web.asked().is_empty(), "{name} was fetched");
        fs::rename(sources.world.path("git-away"), sources.world.path("git")).expect("there");
    }
}

#[test]
fn what_the_client_has_is_given_to_the_server() {
    let sources = Sources::new();
    for (at, (name, root)) in given_roots(&sources).into_iter().enumerate() {
        // The client's own daemon has built it; the other one has never heard of it.
        let client = format!("client-{at}");
        let first = succeed(sources.world.client(&client).arg("fetch").arg(present_spec(&sources, &root)));
        let new = daemon(&sources, &format!("new-{at}"), &[]);
        let spec = absent_spec(&sources, &root);
        sources.web.asked();
        let second = succeed(sources.client(&new, &client, &["fetch"]).arg(&spec));
        assert_eq!(contents(first.as_ref()), contents(second.as_ref()), "{name}");
        assert!(sources.web.asked().is_empty(), "{name} was fetched");
        succeed(sources.client(&new, &format!("far-{at}"), &["fetch"]).arg(&spec));
    }
}

#[test]
fn the_server_fetches_from_where_it_may() {
    let sources = Sources::new();
    let files = format!("file://{}", sources.world.path("").display());
    let allowed = format!("{}/", sources.web.address);
    let elsewhere = daemon(&sources, "elsewhere", &["--fetch", "https://example.org/"]);
    for (at, (name, mut root)) in roots(&sources).into_iter().enumerate() {
        if name == "git" {
            root["repository"] = json!(format!("file://{}", sources.world.path("git").display()));
        }
        let spec = absent_spec(&sources, &root);
        let allowing = daemon(&sources, &format!("allowing-{at}"), &["--fetch", &allowed, "--fetch", &files]);
        let stderr = fail(sources.client(&elsewhere, &format!("no-{at}"), &["fetch"]).arg(&spec), 1);
        assert!(stderr.contains("absent root"), "{name}: {stderr}");
        let output = run(sources.client(&allowing, &format!("yes-{at}"), &["fetch"]).arg(&spec));
        let stderr = text(&output.stderr);
        assert!(output.status.success() && stderr.contains("has fetched the sources"), "{name}: {stderr}");
        let client = sources.world.path(&format!("yes-{at}"));
        assert!(!client.join("fetching").exists(), "{name}: the client has fetched");
    }
}

#[test]
fn the_client_fetches_what_is_absent_when_it_is_told_to() {
    let sources = Sources::new();
    for (at, (name, root)) in given_roots(&sources).into_iter().enumerate() {
        let new = daemon(&sources, &format!("new-{at}"), &[]);
        let spec = absent_spec(&sources, &root);
        let fetched = succeed(sources.client(&new, "client", &["fetch", "--fetch-absent"]).arg(&spec));
        let again = succeed(sources.client(&new, "far", &["fetch"]).arg(&spec));
        assert_eq!(contents(fetched.as_ref()), contents(again.as_ref()), "{name}");
        fs::remove_dir_all(sources.world.path("client/memo")).expect("there");
    }
}

#[test]
fn nothing_is_sent_that_the_server_has() {
    let sources = Sources::new();
    let daemon = daemon(&sources, "daemon", &[]);
    let proxy = Proxy::new(&daemon.address);
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(3_000_000).collect();
    fs::write(sources.content.join("noise"), noise).expect("ours");
    let mut sent = Vec::new();
    // The same files, and one more each time.
    for more in ["one", "two"] {
        fs::write(sources.content.join(more), more).expect("ours");
        let spec = sources.spec(&json!({"type": "file", "path": "content", "pragma": {"to_git": true}}));
        let mut client = sources.world.client(more);
        let before = proxy.bytes().0;
        succeed(client.env("ENVSERVE_SERVE", &proxy.address).args(["fetch", "--absent"]).arg(&spec));
        sent.push(proxy.bytes().0 - before);
    }
    assert!(sent[0] > 3_000_000 && sent[1] < 100_000, "{sent:?}");
}

#[test]
fn a_tree_that_only_a_repository_of_the_server_has_is_known_and_the_repository_is_only_read() {
    let sources = Sources::new();
    let repository = sources.world.path("git");
    let daemon = daemon(&sources, "daemon", &["--repository", repository.to_str().expect("UTF-8")]);
    let before = contents(&repository);
    let root = json!({"type": "git tree", "id": sources.tree, "cmd": ["false"]});
    let mut commit = sources.commit();
    commit["repository"] = json!("https://nowhere.invalid/x.git");
    for (client, root) in [("tree", root), ("commit", commit)] {
        succeed(sources.client(&daemon, client, &["fetch"]).arg(sources.spec(&absent(root.clone()))));
        let mut ignoring = root;
        ignoring["pragma"]["special"] = json!("ignore");
        succeed(sources.client(&daemon, client, &["fetch"]).arg(sources.spec(&absent(ignoring))));
    }
    assert_eq!(contents(&repository), before);
}
