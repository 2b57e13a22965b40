//! Over an endpoint elsewhere, which the clients use themselves.

use serde_json::json;

use super::{Project, environment};
use crate::support::{Endpoint, Kind, run, text};

/// Everything that endpoints treat differently; `tag` makes the environment one that nobody has built before.
fn project() -> Project {
    let script = format!(
        "mkdir -p out/deep; cp own/source out/deep/copy; : >out/empty; ln -s deep/copy out/link; \
        printf '#!/bin/sh\\necho ran {}\\n' >out/run; chmod +x out/run",
        fastrand::u64(..)
    );
    let project = Project::new(&json!({
        "made": environment(&script, &[]),
        "all": {"type": "tree", "inputs": {"made": {"env": "made", "path": "out"}, "source": {"path": "source"}}},
        "broken": environment("echo why; exit 3", &[]),
    }));
    project.targets(&[
        ("use", &["all"], "all/made/run >out; wc -c <all/made/link >>out; readlink all/made/link >>out"),
        ("fail", &["broken"], "ls >out"),
    ]);
    project
}

fn served(endpoint: &mut Endpoint) {
    let project = project();
    let daemon = project.daemon(&["--remote", &endpoint.address]);
    let out = project.installed(&daemon, "one", "use", &["-r", &endpoint.address]);
    assert!(out.starts_with("ran ") && out.ends_with("\n18\ndeep/copy\n"), "{out}");
    assert!(project.is_clean("one"));
    let again = ["install", "-o", "result", "use", "-r", &endpoint.address];
    let said = project.done(&daemon, "two", &again);
    assert!(said.contains("Processed 1 actions, 1 cache hits."), "{said}");
    assert!(project.is_clean("two"));
    assert_eq!(daemon.builds(), 2, "{}", daemon.log());

    let fail = ["install", "-o", "result", "fail", "-r", &endpoint.address];
    let said = project.ended(&daemon, &mut project.just_mr(&daemon, "two", &fail), 8);
    let log = said.split("as blob ").nth(1).and_then(|rest| rest.split_inclusive(":f]").next()).expect("a blob");
    let mut print = project.tool("justbuild");
    print.args(["install-cas", "--compatible", "-r", &endpoint.address, log, "--local-build-root"]);
    let log = project.ended(&daemon, print.arg(project.build_root("reader")), 0);
    assert!(
        log.contains("`broken` failed to build: its command ended with exit code 3") && log.contains("why"),
        "{log}"
    );
}

#[test]
fn environments_are_served_over_buildgrid() {
    Endpoint::with(Kind::BuildGrid, served);
}

#[test]
fn environments_are_served_over_just_itself() {
    Endpoint::with(Kind::Just, served);
}

#[test]
fn environments_are_served_over_an_endpoint_that_prefers_another_function() {
    Endpoint::with(Kind::Own, served);
}

#[test]
fn a_client_with_another_endpoint_is_not_served() {
    let (project, endpoint) = (project(), Endpoint::start(Kind::Own));
    let daemon = project.daemon(&["--remote", &endpoint.address]);
    let elsewhere = ["-r", &daemon.address, "install", "-o", "result", "use"];
    let output = run(&mut project.just_mr(&daemon, "one", &elsewhere));
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains(&endpoint.address), "{said}");
}
