//! A project that uses an absent environment.

use std::fs;

use serde_json::{Value, json};

use super::{Project, SECRET, environment, shell};
use crate::support::{block, until};

const GREETER: &str = r#"mkdir -p out/bin
    printf '#!/bin/sh\necho hello, {{NAME}}\n' >out/bin/greet
    chmod +x out/bin/greet
    ln -s bin/greet out/link
    cp own/source out/copy
    date +%N >out/when"#;

const TARGETS: [(&str, &[&str], &str); 1] =
    [("use", &["greeter"], "greeter/out/link >out; cat greeter/out/when >>out")];

fn greeter() -> Project {
    let mut greeter = environment(GREETER, &["NAME"]);
    greeter["doc"] = json!(["Greets.", "Politely."]);
    greeter["config_doc"] = json!({"NAME": ["Who is greeted."]});
    let project = Project::new(&json!({"greeter": greeter}));
    project.targets(&TARGETS);
    project
}

fn named(name: &str) -> String {
    json!({"NAME": name, "NOBODY_ASKS": 1}).to_string()
}

#[test]
fn an_action_uses_an_absent_environment_of_which_nothing_comes_to_the_client() {
    let project = greeter();
    let daemon = project.daemon(&[]);
    let out = project.installed(&daemon, "one", "use", &["-D", &named("world")]);
    assert!(out.starts_with("hello, world\n"), "{out}");
    assert!(project.is_clean("one"), "{SECRET}");
    // Another client finds the same environment, and the same result of its action.
    let said = project.done(&daemon, "two", &["install", "-o", "result", "use", "-D", &named("world")]);
    assert!(said.contains("Processed 1 actions, 1 cache hits."), "{said}");
    assert!(said.contains("1 served"), "{said}");
    assert_eq!(fs::read_to_string(project.world.path("consumer/result/out")).expect("there"), out);
    assert_eq!(daemon.builds(), 1, "{}", daemon.log());
    assert!(project.is_clean("two"), "{SECRET}");
}

#[test]
fn the_endpoint_may_be_named_as_well() {
    let project = greeter();
    let daemon = project.daemon(&[]);
    for (client, endpoint) in [("same", daemon.address.clone()), ("none", String::new())] {
        let mut command = project.just_mr(&daemon, client, &["-D", &named("x")]);
        if !endpoint.is_empty() {
            command.args(["-r", &endpoint]);
        }
        let said = project.ended(&daemon, command.args(["install", "-o", "result", "use"]), 0);
        assert!(!said.contains("ignored"), "{said}");
    }
    assert_eq!(daemon.builds(), 1);
}

#[test]
fn a_variable_makes_another_environment_only_if_it_is_seen() {
    let project = greeter();
    let daemon = project.daemon(&[]);
    let ask = |name: &str| project.installed(&daemon, "one", "use", &["-D", &named(name)]);
    let (a, b) = (ask("a"), ask("b"));
    assert!(a.starts_with("hello, a\n") && b.starts_with("hello, b\n"), "{a}{b}");
    assert_eq!(ask("a"), a);
    let other = json!({"NAME": "a", "NOBODY_ASKS": 2}).to_string();
    assert_eq!(project.installed(&daemon, "one", "use", &["-D", &other]), a);
    assert_eq!(daemon.builds(), 2);
}

#[test]
fn the_environment_itself_can_be_installed_under_its_name() {
    let project = greeter();
    let daemon = project.daemon(&[]);
    let install = ["--main", "env", "install", "-o", "result", "-D", &named("me"), "greeter"];
    project.done(&daemon, "one", &install);
    let at = project.world.path("consumer/result/greeter/out");
    assert_eq!(fs::read_link(at.join("link")).expect("a link").to_str(), Some("bin/greet"));
    assert_eq!(fs::read_to_string(at.join("copy")).expect("there"), format!("{SECRET}\n"));
}

#[test]
fn an_environment_is_described() {
    let project = greeter();
    let daemon = project.daemon(&[]);
    let said = project.done(&daemon, "one", &["--main", "env", "describe", "greeter"]);
    for part in ["Greets.", "Politely.", "\"NAME\"", "Who is greeted."] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(daemon.builds(), 0);
}

#[test]
fn a_build_goes_on_when_its_client_leaves() {
    let seconds = format!("600.{}", fastrand::u64(..));
    let project = Project::new(&json!({"slow": environment(&format!("sleep {seconds}; echo ok >out"), &[])}));
    project.targets(&[("use", &["slow"], "cat slow/out >out")]);
    let daemon = project.daemon(&[]);
    let mut client = project.just_mr(&daemon, "one", &["install", "-o", "result", "use"]).spawn().expect("runs");
    let line = format!("sleep {seconds}");
    let sleeping = || crate::support::processes(|running| running == line).pop();
    let action = until("the action runs", sleeping);
    let client_id = client.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &client_id]).status().expect("runs").success());
    drop(client.wait());
    assert_eq!(sleeping(), Some(action.clone()), "{}", daemon.log());
    assert!(std::process::Command::new("kill").arg(&action).status().expect("runs").success());
    until("the environment is built", || (daemon.builds() == 1).then_some(()));
    assert_eq!(project.installed(&daemon, "two", "use", &[]), "ok\n");
    assert_eq!(daemon.builds(), 1);
}

#[test]
fn the_page_shows_how_environments_are_served() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md");
    let page = fs::read_to_string(page).expect("there");
    let project = Project::new(&json!({"tools": environment("echo a tool >out", &[])}));
    let mut repositories: Value = serde_json::from_str(&block(&page, "In `repos.json`")).expect("JSON");
    let shown = &mut repositories["repositories"]["environments"]["repository"];
    shown["commit"] = json!(project.commit);
    shown["subdir"] = json!("envs");
    project.world.write("consumer/repos.json", repositories.to_string());
    project.world.write("consumer/TARGETS", block(&page, "In `TARGETS`"));
    let daemon = project.daemon(&[]);
    let script = block(&page, "Then").replace("127.0.0.1:8981", &daemon.address);
    project.ended(&daemon, &mut shell(&project.world, &project.world.path("consumer"), &script), 0);
    assert_eq!(fs::read_to_string(project.world.path("consumer/result/listed")).expect("there"), "out\n");
}
