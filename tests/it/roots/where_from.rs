//! Where a file comes from: the client's CAS, the distdirs, the server's CAS, its address, its mirrors, in this order.

use std::fs;

use serde_json::json;

use super::{Sources, resolved};
use crate::support::{Daemon, fail, run, succeed, text};

#[test]
fn a_file_is_fetched_once_and_its_tree_is_remembered() {
    let sources = Sources::new();
    let mut root = sources.archive("a.tar.gz");
    let spec = sources.spec(&root);
    assert_eq!(resolved(&mut sources.world.client("client"), &spec), sources.tree);
    assert_eq!(sources.web.asked(), ["a.tar.gz"]);
    assert_eq!(resolved(&mut sources.world.client("client"), &spec), sources.tree);
    // Another directory of the same archive: it is in the client's CAS.
    root["subdir"] = json!("a");
    assert_ne!(resolved(&mut sources.world.client("client"), &sources.spec(&root)), sources.tree);
    assert!(sources.web.asked().is_empty());
}

#[test]
fn a_distdir_comes_before_the_address_and_a_wrong_file_in_it_is_passed_over() {
    let sources = Sources::new();
    let spec = sources.spec(&sources.archive("a.tar.gz"));
    let [good, bad] = ["good", "bad"].map(|name| sources.world.path(name));
    sources.world.write("bad/a.tar.gz", "something else");
    fs::create_dir(&good).expect("temporary");
    fs::copy(sources.world.path("web/a.tar.gz"), good.join("a.tar.gz")).expect("there");
    let mut both = sources.world.client("one");
    both.arg("--distdir").arg(&bad).arg("--distdir").arg(&good);
    let mut command = sources.world.client("one");
    command.arg("resolve").arg("--distdir").arg(&bad).arg("--distdir").arg(&good).arg(&spec);
    let output = run(&mut command);
    assert!(output.status.success() && text(&output.stdout).contains(&sources.tree), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("bad/a.tar.gz"), "{}", text(&output.stderr));
    assert!(sources.web.asked().is_empty());
    let mut only_bad = sources.world.client("two");
    succeed(only_bad.arg("resolve").arg("--distdir").arg(&bad).arg(&spec));
    assert_eq!(sources.web.asked(), ["a.tar.gz"]);
}

#[test]
fn the_cas_of_the_server_comes_before_the_address() {
    let sources = Sources::new();
    let daemon = sources.world.daemon();
    let root = sources.archive("a.tar.gz");
    succeed(sources.client(&daemon, "one", &["fetch", "--sources", "--backup-to-remote"]).arg(sources.spec(&root)));
    assert_eq!(sources.web.asked(), ["a.tar.gz"]);
    let into = sources.world.path("distdir");
    let mut command = sources.client(&daemon, "two", &["fetch", "--sources", "--distdir"]);
    succeed(command.arg(&into).arg(sources.spec(&root)));
    let same = |path| fs::read(path).expect("there");
    assert_eq!(same(into.join("a.tar.gz")), same(sources.world.path("web/a.tar.gz")));
    assert!(sources.web.asked().is_empty());
}

#[test]
fn a_mirror_is_taken_when_the_address_fails() {
    let sources = Sources::new();
    let mut root = sources.archive("a.tar.gz");
    let web = &sources.web.address;
    root["fetch"] = json!(format!("{web}/gone/a.tar.gz"));
    sources.world.write("web/wrong/a.tar.gz", "not it");
    root["mirrors"] = json!([format!("{web}/wrong/a.tar.gz"), format!("{web}/a.tar.gz")]);
    assert_eq!(resolved(&mut sources.world.client("client"), &sources.spec(&root)), sources.tree);
    assert_eq!(sources.web.asked(), ["gone/a.tar.gz", "wrong/a.tar.gz", "a.tar.gz"]);
}

#[test]
fn files_of_this_host_are_addresses_too() {
    let sources = Sources::new();
    let mut root = sources.archive("a.tar.gz");
    let path = sources.world.path("web/a.tar.gz").display().to_string();
    for (client, address) in
        [("one", path.clone()), ("two", format!("file://{path}")), ("three", "./web/a.tar.gz".into())]
    {
        root["fetch"] = json!(address);
        assert_eq!(resolved(&mut sources.world.client(client), &sources.spec(&root)), sources.tree, "{address}");
    }
}

#[test]
fn a_private_daemon_and_its_clients_share_the_archive() {
    let sources = Sources::new();
    let spec = sources.spec(&sources.archive("a.tar.gz"));
    succeed(sources.world.client("client").arg("fetch").arg(&spec));
    assert_eq!(sources.web.asked(), ["a.tar.gz"], "once, for both");
}

#[test]
fn who_asks_for_an_archive_while_it_is_unpacked_waits_for_it() {
    let sources = Sources::new();
    let allowed = format!("{}/", sources.web.address);
    let daemon = Daemon::start(&sources.world.path("daemon"), &["--fetch", &allowed]);
    let spec = sources.spec(&sources.archive("a.tar.gz"));
    let children: Vec<_> = (0..6)
        .map(|at| {
            let mut command = sources.client(&daemon, &format!("client-{at}"), &["resolve"]);
            command.arg(&spec).stdout(std::process::Stdio::piped()).spawn().expect("the binary is there")
        })
        .collect();
    for child in children {
        assert!(text(&child.wait_with_output().expect("it ran").stdout).contains(&sources.tree));
    }
    assert_eq!(sources.web.asked(), ["a.tar.gz"]);
}

#[test]
fn what_cannot_be_fetched_is_told_for_each_address() {
    let sources = Sources::new();
    let mut root = sources.archive("a.tar.gz");
    let web = &sources.web.address;
    root["fetch"] = json!(format!("{web}/gone"));
    root["mirrors"] = json!([format!("{web}/redirect/file:///etc/passwd"), "ftp://example.org/x", "/no/such/file"]);
    let stderr = fail(sources.world.client("client").arg("resolve").arg(sources.spec(&root)), 1);
    for part in ["/gone`", "404", "file:///etc/passwd", "ftp://example.org/x", "/no/such/file"] {
        assert!(stderr.contains(part), "no {part}: {stderr}");
    }
}
