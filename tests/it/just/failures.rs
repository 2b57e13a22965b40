//! What the user of just sees when there is no environment.

use serde_json::json;

use super::{Project, environment, shell};
use crate::support::{Daemon, block, run, text};

/// Uses an environment in vain and returns what just says.
fn refused(project: &Project, daemon: &Daemon, name: &str) -> String {
    project.targets(&[("use", &[name], "ls >out")]);
    project.ended(daemon, &mut project.just_mr(daemon, "one", &["install", "-o", "result", "use"]), 8)
}

/// Returns the text of a blob that is named in brackets after these words.
fn blob(project: &Project, daemon: &Daemon, said: &str, before: &str) -> String {
    let named = said.split(before).nth(1).unwrap_or_else(|| panic!("no `{before}`: {said}"));
    let end = named.find(":f]").unwrap_or_else(|| panic!("no blob: {said}"));
    let mut print = project.tool("justbuild");
    print.args(["install-cas", "--compatible", "-r", &daemon.address, "--local-build-root"]);
    print.arg(project.build_root("reader")).arg(&named[..end + 3]);
    project.ended(daemon, &mut print, 0)
}

#[test]
fn a_failed_build_leaves_a_log_with_reason_and_output() {
    let project = Project::new(&json!({"broken": environment("echo first line; echo to stderr >&2; exit 3", &[])}));
    let daemon = project.daemon(&[]);
    let said = refused(&project, &daemon, "broken");
    let log = blob(&project, &daemon, &said, "as blob ");
    let first = "environment `broken` failed to build: its command ended with exit code 3\nIts output:\nfirst line\n";
    assert!(log.starts_with(first) && log.contains("\nto stderr\n"), "{log}");
    assert!(!log.contains("the whole"), "{log}");
}

#[test]
fn a_long_log_ends_with_the_end_of_the_output_and_names_the_whole() {
    let project = Project::new(&json!({"broken": environment("seq 1 100000; exit 1", &[])}));
    let daemon = project.daemon(&[]);
    let said = refused(&project, &daemon, "broken");
    let log = blob(&project, &daemon, &said, "as blob ");
    assert!(log.lines().any(|line| line == "100000") && !log.lines().any(|line| line == "1"), "{log}");
    let whole = blob(&project, &daemon, &log, "the whole is blob ");
    assert_eq!(whole.lines().filter(|line| line.parse::<u32>().is_ok()).count(), 100_000);
}

#[test]
fn the_failure_of_an_environment_that_is_used_is_told_by_its_name() {
    let project = Project::new(&json!({
        "broken": environment("exit 7", &[]),
        "outer": {"type": "tree", "inputs": {"x": {"env": "broken"}}},
    }));
    let daemon = project.daemon(&[]);
    let said = refused(&project, &daemon, "outer");
    let log = blob(&project, &daemon, &said, "as blob ");
    assert!(log.starts_with("environment `broken` failed to build: its command ended with exit code 7\n"), "{log}");
}

#[test]
fn what_is_wrong_with_a_definition_is_told() {
    let mut undeclared = environment("echo {{ARCH}} >out", &[]);
    undeclared["doc"] = json!(["Uses what it does not declare."]);
    let project = Project::new(&json!({
        "toolchain": {"type": "tree", "inputs": {}},
        "undeclared": undeclared,
        "unset": environment("echo {{ARCH}} >out", &["ARCH"]),
        "pathless": {"type": "tree", "inputs": {"x": {"path": "no/such"}}},
        "unbound": {"type": "tree", "inputs": {"x": {"root": "wheels"}}},
        "circle": {"type": "tree", "inputs": {"x": {"env": "circle"}}},
        "dangling": {"type": "tree", "inputs": {"x": {"env": "nobody"}}},
        "warm": {"type": "checkpoint", "image": {"path": "x"}, "ready": {"tcp": 1}},
    }));
    let daemon = project.daemon(&[]);
    for (name, expected) in [
        ("toolchian", "there is no environment `toolchian`; the nearest are `toolchain`"),
        ("undeclared", "`ARCH` is not among the variables"),
        ("unset", "the variable `ARCH` has no value (give it one with `-D '{\"ARCH\": …}'`)"),
        ("pathless", "there is no `no/such` in its own root"),
        ("unbound", "nothing is bound to `wheels`"),
        ("circle", "in a circle: circle -> circle"),
        ("dangling", "there is no environment `nobody`"),
        ("warm", "environment `warm` is a checkpoint, of which `envserve up` starts copies; it is no target"),
    ] {
        let said = refused(&project, &daemon, name);
        assert!(said.contains(expected), "{name}: {said}");
    }
    assert_eq!(daemon.builds(), 0);
}

#[test]
fn a_file_that_is_not_there_or_no_environments_file_is_told() {
    let project = Project::new(&json!({}));
    let daemon = project.daemon(&[]);
    for (file, expected) in [("NO_SUCH", "has no environments file `NO_SUCH`"), ("source", "source:1:")] {
        let mut env = project.absent("envs");
        env["target_file_name"] = json!(file);
        project.repositories(&json!({"env": env}));
        let said = refused(&project, &daemon, "x");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_commit_that_is_not_known_is_no_root() {
    let mut project = Project::new(&json!({}));
    let daemon = project.daemon(&[]);
    project.commit = "5".repeat(40);
    project.repositories(&json!({"env": project.absent("envs")}));
    project.targets(&[("use", &["x"], "ls >out")]);
    let mut command = project.just_mr(&daemon, "one", &["install", "-o", "result", "use"]);
    let output = run(&mut command);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("env") && said.contains("absent"), "{said}");
}

#[test]
fn the_page_shows_how_a_log_is_read() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md");
    let shown = block(&std::fs::read_to_string(page).expect("there"), "When an environment fails to build");
    let project = Project::new(&json!({"broken": environment("exit 3", &[])}));
    let daemon = project.daemon(&[]);
    let said = refused(&project, &daemon, "broken");
    let named = said.split("as blob ").nth(1).and_then(|rest| rest.split_inclusive(":f]").next()).expect("a blob");
    let shown = shown.replace("127.0.0.1:8981", &daemon.address).replace("[HASH:SIZE:f]", named);
    let mut shell = shell(&project.world, &project.world.path("consumer"), &shown);
    assert!(project.ended(&daemon, &mut shell, 0).contains("exit code 3"));
}
