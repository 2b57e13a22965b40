//! Bad sources: each is refused with its reason, and nothing of it is kept.

use std::fs;

use envserve::proto::v1;
use envserve::proto::v1::source_trees_client::SourceTreesClient;
use serde_json::{Value, json};
use tonic::Code;

use super::{Sources, absent};
use crate::support::{Daemon, fail, files, git, processes, succeed, until};

/// Returns what refusing a root prints, and checks that the Git cache has no pack and no tree of it.
fn refused(sources: &Sources, root: &Value) -> String {
    drop(fs::remove_dir_all(sources.world.path("client/git")));
    let stderr = fail(sources.world.client("client").arg("resolve").arg(sources.spec(root)), 1);
    let packs = sources.world.path("client/git/objects/pack");
    assert!(!packs.exists() || files(&packs).is_empty(), "{stderr}");
    assert!(files(&sources.world.path("client/git/objects")).is_empty(), "{stderr}");
    stderr
}

#[test]
fn a_file_with_another_content_is_told_with_both_ids() {
    let sources = Sources::new();
    let mut root = sources.archive("a.tar.gz");
    let (good, wrong) = (root["content"].as_str().expect("an id").to_owned(), "12".repeat(20));
    root["content"] = json!(wrong);
    let stderr = refused(&sources, &root);
    assert!(stderr.contains(&good) && stderr.contains(&wrong), "{stderr}");
    root["content"] = json!(good);
    root["sha256"] = json!("0".repeat(64));
    let stderr = refused(&sources, &root);
    assert!(stderr.contains(&"0".repeat(64)), "{stderr}");
    let fetching = sources.world.path("client/fetching");
    assert!(!fetching.exists() || files(&fetching).iter().all(|file| fs::metadata(file).expect("there").len() == 0));
}

#[test]
fn unsound_archives_are_refused_with_the_entry() {
    let sources = Sources::new();
    let cases = [
        ("tar --transform 's,^,../,' -C \"$1\" -cPf bad.tar b", "leads upwards"),
        ("tar -C \"$1\" -cPf bad.tar \"$1/b\"", "absolute"),
        ("mkdir -p x && mkfifo x/pipe && tar -C x -cf bad.tar pipe", "pipe"),
        ("tar -C \"$1\" -cf bad.tar b && tar -C \"$1\" -rf bad.tar b", "twice"),
        ("tar -C \"$1\" -cf - . | gzip | head -c 150 >bad.tar", "too early"),
        ("head -c 80000000 /dev/zero >zeros && tar -czf bad.tar zeros && rm zeros", "times its size"),
        ("printf 'no archive' >bad.tar", "cannot"),
    ];
    for (script, reason) in cases {
        sources.make(script);
        let root = json!({"type": "archive", "content": sources.blob("bad.tar"), "fetch": sources.address("bad.tar")});
        let stderr = refused(&sources, &root);
        assert!(stderr.contains("cannot unpack the archive") && stderr.contains(reason), "{reason}: {stderr}");
        drop(fs::remove_dir_all(sources.world.path("client/memo")));
        fs::remove_file(sources.world.path("web/bad.tar")).expect("there");
    }
}

#[test]
fn limits_of_archives_can_be_set_on_both_sides() {
    let sources = Sources::new();
    let spec = sources.spec(&sources.archive("a.tar.gz"));
    for (option, value, reason) in
        [("--max-archive-entries", "2", "more than 2 entries"), ("--max-archive-size", "10B", "more than 10 bytes")]
    {
        let stderr = fail(sources.world.client("client").args(["resolve", option, value]).arg(&spec), 1);
        assert!(stderr.contains(reason), "{stderr}");
        let allowed = format!("{}/", sources.web.address);
        let daemon = Daemon::start(&sources.world.path(option), &[option, value, "--fetch", &allowed]);
        let stderr = fail(sources.client(&daemon, "far", &["resolve"]).arg(&spec), 1);
        assert!(stderr.contains(reason) && stderr.contains(&daemon.address), "{stderr}");
    }
}

#[test]
fn a_link_that_leads_nowhere_cannot_be_resolved() {
    let sources = Sources::new();
    std::os::unix::fs::symlink("../out", sources.content.join("escapes")).expect("temporary");
    let mut root = sources.archive("a.tar.gz");
    root["pragma"] = json!({"special": "resolve-completely"});
    let spec = sources.spec(&root);
    let stderr = fail(sources.world.client("client").arg("resolve").arg(&spec), 1);
    assert!(stderr.contains("`escapes`") && stderr.contains("`../out`"), "{stderr}");
    let daemon = sources.world.daemon();
    succeed(sources.client(&daemon, "one", &["fetch", "--sources", "--backup-to-remote"]).arg({
        root["pragma"] = json!({"special": "ignore"});
        sources.spec(&root)
    }));
    root["pragma"] = json!({"special": "resolve-completely"});
    let stderr = fail(sources.client(&daemon, "two", &["resolve"]).arg(sources.spec(&absent(root))), 1);
    assert!(stderr.contains("`escapes`") && stderr.contains(&daemon.address), "{stderr}");
}

#[test]
fn an_id_that_is_no_commit_is_told_as_what_it_is() {
    let sources = Sources::new();
    let repository = sources.world.path("git");
    let commit = sources.commit();
    git(&repository, &["tag", "-a", "-m", "one", "v1", "main"]);
    let id = |name: &str| git(&repository, &["rev-parse", name]);
    let daemon = Daemon::start(&sources.world.path("daemon"), &["--repository", repository.to_str().expect("UTF-8")]);
    for (name, what) in [("v1", "a tag"), ("main^{tree}", "a tree"), ("main:b", "a blob")] {
        let mut root = commit.clone();
        root["commit"] = json!(id(name));
        let spec = sources.spec(&root);
        for command in [&mut sources.world.client("client"), &mut sources.world.client_of(&daemon, "far")] {
            let stderr = fail(command.arg("resolve").arg(&spec), 1);
            assert!(stderr.contains(&id(name)) && stderr.contains(what), "{stderr}");
            assert!(name != "v1" || stderr.contains(&id("main")), "the commit that it leads to: {stderr}");
        }
    }
}

#[test]
fn commands_that_fail_or_give_another_tree_are_told() {
    let sources = Sources::new();
    let root = |script: &str| json!({"type": "git tree", "id": sources.tree, "cmd": ["sh", "-c", script], "env": {"PATH": "/usr/bin:/bin"}});
    let daemon = sources.world.daemon();
    for (script, reasons) in [
        ("echo why >&2; exit 3", vec!["why", "3"]),
        ("echo x >y", vec!["gave the tree", &sources.tree]),
        ("echo x >../outside; mkfifo pipe", vec!["pipe"]),
    ] {
        let stderr = fail(sources.client(&daemon, "client", &["fetch"]).arg(sources.spec(&root(script))), 1);
        assert!(reasons.iter().all(|reason| stderr.contains(reason)), "{stderr}");
    }
}

#[test]
fn a_client_that_is_interrupted_takes_its_commands_along() {
    let sources = Sources::new();
    let seconds = format!("600.{}", fastrand::u64(..));
    let root = json!({"type": "git tree", "id": "12".repeat(20), "cmd": ["sleep", seconds], "env": {"PATH": "/bin"}});
    let daemon = sources.world.daemon();
    let sleeping = || processes(|line| line == format!("sleep {seconds}"));
    let mut command = sources.client(&daemon, "client", &["fetch"]);
    let mut client = command.arg(sources.spec(&root)).spawn().expect("the binary is there");
    until("the command runs", || (!sleeping().is_empty()).then_some(()));
    succeed(std::process::Command::new("kill").args(["-INT", &client.id().to_string()]));
    assert_eq!(client.wait().expect("it ran").code(), Some(130));
    until("the command is gone", || sleeping().is_empty().then_some(()));
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let sources = Sources::new();
    let daemon = sources.world.daemon();
    let id = "12".repeat(20);
    let mut client = SourceTreesClient::new(daemon.link().channel());
    let archive = |content: &str, kind: i32, subdir: &str| v1::ArchiveTreeRequest {
        content: content.to_owned(),
        kind,
        subdir: subdir.to_owned(),
        ..Default::default()
    };
    for (request, code) in [
        (archive("x", 1, ""), Code::InvalidArgument),
        (archive(&id, 0, ""), Code::InvalidArgument),
        (archive(&id, 7, ""), Code::InvalidArgument),
        (archive(&id, 1, "../x"), Code::InvalidArgument),
        (archive(&id, 1, "/x"), Code::InvalidArgument),
        (archive(&id, 1, ""), Code::NotFound),
    ] {
        assert_eq!(client.archive_tree(request.clone()).await.expect_err("refused").code(), code, "{request:?}");
    }
    let file = |name: &str, content: &str| v1::distdir_tree_request::File {
        name: name.to_owned(),
        content: content.to_owned(),
        ..Default::default()
    };
    for (files, code) in [
        (vec![file("../x", &id)], Code::InvalidArgument),
        (vec![file("", &id)], Code::InvalidArgument),
        (vec![file(".git", &id)], Code::InvalidArgument),
        (vec![file("a", "nothing")], Code::InvalidArgument),
        (vec![file("a", &id), file("a", &id)], Code::InvalidArgument),
        (vec![file("a", &id); 10_001], Code::InvalidArgument),
        (vec![file("a", &id)], Code::NotFound),
    ] {
        let request = v1::DistdirTreeRequest { files, backup: true };
        assert_eq!(client.distdir_tree(request).await.expect_err("refused").code(), code);
    }
    let special = |tree: &str, special| v1::SpecialTreeRequest { tree: tree.to_owned(), special, backup: false };
    assert_eq!(client.special_tree(special(&id, 0)).await.expect_err("refused").code(), Code::InvalidArgument);
    assert_eq!(client.special_tree(special(&id, 1)).await.expect_err("refused").code(), Code::NotFound);
    let tree = v1::TreeRequest { tree: id.clone() };
    assert_eq!(client.tree(tree).await.expect_err("refused").code(), Code::NotFound);
    let structure = v1::TreeStructureRequest { tree: id.clone(), backup: false };
    assert_eq!(client.tree_structure(structure).await.expect_err("refused").code(), Code::NotFound);
    let origin = v1::Origin { addresses: vec!["file:///etc/passwd".to_owned()], ..Default::default() };
    let content = v1::ContentRequest { content: id, origin: Some(origin) };
    assert_eq!(client.content(content).await.expect_err("refused").code(), Code::NotFound);
    let digest = v1::Digest { hash: "ab".repeat(32), size_bytes: 3 };
    let take = v1::GetRemoteContentRequest { content: Some(digest) };
    assert_eq!(client.get_remote_content(take).await.expect_err("refused").code(), Code::FailedPrecondition);
    let take = v1::GetRemoteContentRequest { content: None };
    assert_eq!(client.get_remote_content(take).await.expect_err("refused").code(), Code::InvalidArgument);
}
