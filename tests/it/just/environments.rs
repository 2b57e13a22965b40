//! How environments and the repositories around them are understood.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{Project, commit, environment};
use crate::support::{git, script, succeed};

#[test]
fn an_environment_uses_others_and_the_roots_that_are_bound_to_its_repository() {
    let mut project = Project::new(&json!({}));
    let world = &project.world;
    world.write("known/data/text", "data\n");
    world.write(
        "known/envs/ENVS",
        json!({
            "all": {"type": "tree", "flexible_config": ["V"], "inputs": {
                "data": {"root": "data", "path": "text"},
                "near": {"env": "near"},
                "far": {"env": ["@", "others", "module", "far"]},
            }},
            "near": environment("echo near >out", &[]),
        })
        .to_string(),
    );
    world.write("known/others/module/MORE", json!({"far": script_of("far {{V}}")}).to_string());
    project.commit = commit(&world.path("known"));
    let mut env = project.absent("envs");
    env["bindings"] = json!({"data": "the data", "others": "the others"});
    let mut others = project.absent("others");
    others["target_file_name"] = json!("MORE");
    project.repositories(&json!({"env": env, "the data": project.absent("data"), "the others": others}));
    project.targets(&[("use", &["all"], "cat all/data all/near/out all/far/out >out")]);
    let daemon = project.daemon(&[]);
    let out = project.installed(&daemon, "one", "use", &["-D", r#"{"V": "v"}"#]);
    assert_eq!(out, "data\nnear\nfar v\n");
    assert_eq!(daemon.builds(), 3);
}

fn script_of(text: &str) -> serde_json::Value {
    let mut environment = script(&format!("echo {text} >out"), &["out"]);
    environment["flexible_config"] = json!(["V"]);
    environment
}

#[test]
fn an_environment_whose_name_is_no_path_is_called_so() {
    let project = Project::new(&json!({"../up": environment("echo x >out", &[])}));
    project.targets(&[("use", &["../up"], "cat environment/out >out")]);
    let daemon = project.daemon(&[]);
    assert_eq!(project.installed(&daemon, "one", "use", &[]), "x\n");
    project.done(&daemon, "one", &["--main", "env", "install", "-o", "result", "../up"]);
    assert!(project.world.path("consumer/result/environment/out").exists());
    assert!(!project.world.path("consumer/up").exists());
}

#[test]
fn symlinks_of_a_root_are_left_out_where_that_is_asked_for() {
    let mut project = Project::new(&json!({"listed": environment("ls own >out", &[])}));
    std::os::unix::fs::symlink("source", project.world.path("known/envs/link")).expect("temporary");
    project.commit = commit(&project.world.path("known"));
    project.targets(&[("use", &["listed"], "cat listed/out >out")]);
    let daemon = project.daemon(&[]);
    for (special, expected) in [(None, "ENVS\nlink\nsource\n"), (Some("ignore"), "ENVS\nsource\n")] {
        let mut env = project.absent("envs");
        if let Some(special) = special {
            env["repository"]["pragma"]["special"] = json!(special);
        }
        project.repositories(&json!({"env": env}));
        assert_eq!(project.installed(&daemon, "one", "use", &[]), expected);
    }
}

#[test]
fn an_environments_file_beside_the_root_it_is_about_is_refused_and_both_are_named() {
    let mut project = Project::new(&json!({"x": environment("echo x >out", &[])}));
    project.world.write("known/sources/file", "y");
    project.commit = commit(&project.world.path("known"));
    let mut env = project.absent("sources");
    env["target_root"] = json!("layer");
    project.repositories(&json!({"env": env, "layer": project.absent("envs")}));
    project.targets(&[("use", &["x"], "cat x/out >out")]);
    let daemon = project.daemon(&[]);
    let mut command = project.just_mr(&daemon, "one", &["install", "-o", "result", "use"]);
    let said = project.ended(&daemon, &mut command, 8);
    let known = project.world.path("known");
    for subdir in ["sources", "envs"] {
        let id = git(&known, &["rev-parse", &format!("HEAD:{subdir}")]);
        assert!(said.contains(&id), "{subdir}: {said}");
    }
    assert!(said.contains("target_root"), "{said}");
}

#[test]
fn environments_built_with_other_properties_are_others() {
    let project = Project::new(&json!({"now": environment("date +%N >out", &[])}));
    project.targets(&[("use", &["now"], "cat now/out >out")]);
    let daemon = project.daemon(&[]);
    let with = |value: &str| {
        project.installed(&daemon, "one", "use", &["--remote-execution-property", &format!("colour:{value}")])
    };
    let (red, blue) = (with("red"), with("blue"));
    assert_ne!(red, blue);
    assert_eq!(with("red"), red);
    assert_eq!(daemon.builds(), 2);
}

#[test]
fn what_is_asked_for_in_another_function_is_built_and_kept_apart() {
    let project = Project::new(&json!({"now": environment("date +%N >out", &[])}));
    project.targets(&[("use", &["now"], "cat now/out >out")]);
    let root = json!({"type": "file", "path": "known/envs", "pragma": {"to_git": true}});
    let spec = json!({"environment": ["main", "", "now"], "repositories": {"main": {"repository": root}}});
    let spec = project.world.write("spec.json", spec.to_string());
    for (function, builds) in [("blake3", 2), ("sha256", 1)] {
        let daemon = project.daemon_at(function, &["--digest-function", function]);
        let theirs = project.installed(&daemon, function, "use", &[]);
        let ours = succeed(project.world.client_of(&daemon, "ours").arg("fetch").arg(&spec));
        let ours = fs::read_to_string(Path::new(&ours).join("out")).expect("there");
        assert_eq!(daemon.builds(), builds, "{function}");
        assert_eq!(ours == theirs, builds == 1, "{function}");
    }
}
