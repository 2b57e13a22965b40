//! Bad input: each a clear error that names the place, with nothing half-written.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Daemon, World, fail, git, script, spec};

/// Runs `fetch` and returns its error, in which paths of this run are replaced.
fn refused(world: &World, daemon: &Daemon, spec: &Path, code: i32) -> String {
    let mut command = world.client_of(daemon, "client");
    let stderr = fail(command.arg("fetch").arg(spec).arg("--quiet"), code);
    assert!(stderr.lines().count() < 25, "more than a screen:\n{stderr}");
    let environments = world.path("client/environments");
    assert!(!environments.exists() || crate::support::files(&environments).is_empty(), "something was written");
    let home = spec.parent().expect("has one").display().to_string();
    stderr.replace(&home, "HOME").replace(&daemon.address, "SERVER").trim_end().to_owned()
}

/// Runs `fetch` on a spec that needs no server.
fn refused_spec(text: &str, code: i32) -> String {
    let world = World::new();
    let path = world.write("spec.json", text);
    let stderr = fail(world.client("client").arg("fetch").arg(&path), code);
    assert!(!world.path("client/private").exists(), "no daemon is started for a spec that is wrong");
    stderr.replace(&path.display().to_string(), "spec.json").trim_end().to_owned()
}

/// Runs `fetch` for environment `name` of an environments file.
fn refused_environment(name: &str, environments: &Value, code: i32) -> String {
    let world = World::new();
    let spec = world.spec(name, environments);
    let daemon = world.daemon();
    refused(&world, &daemon, &spec, code)
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    let text = r#"{"environment": ["a", "", "x"], "repositories": {"a": {"repository":
        {"type": "git", "repository": "x", "branch": "b", "comit": "0000000000000000000000000000000000000000"}}}}"#;
    insta::assert_snapshot!(refused_spec(text, 1), @"error: spec.json: repositories.a.repository: unknown key `comit`; did you mean `commit`?");
}

#[test]
fn a_wrong_type_is_named_with_its_place() {
    let text = r#"{"environment": ["a", "", "x"], "repositories": {"a": {"repository": {"type": "file", "path": 3}}}}"#;
    insta::assert_snapshot!(refused_spec(text, 1), @"error: spec.json: repositories.a.repository.path: a string is expected, but this is a number");
}

#[test]
fn what_is_no_json_is_refused_with_line_and_column() {
    insta::assert_snapshot!(refused_spec("{\"environment\": [\n}", 1), @r"
    error: spec.json:2:1: this is not valid JSON
    caused by: expected value at line 2 column 1
    ");
}

#[test]
fn a_binding_to_nothing_is_refused() {
    let text = r#"{"environment": ["a", "", "x"], "repositories": {"wheels": {"repository": {"type": "file", "path": "."}},
        "a": {"repository": {"type": "file", "path": ".", "pragma": {"to_git": true}}, "bindings": {"w": "wheel"}}}}"#;
    insta::assert_snapshot!(refused_spec(text, 1), @"error: spec.json: repositories.a.bindings.w: there is no repository `wheel`; did you mean `wheels`?");
}

#[test]
fn a_spec_that_is_not_fixed_in_content_says_which_repository_and_how_to_fix_it() {
    let text =
        r#"{"environment": ["a", "", "x"], "repositories": {"a": {"repository": {"type": "file", "path": "."}}}}"#;
    insta::assert_snapshot!(refused_spec(text, 13), @r#"
    error: repository `a` is not fixed by content: its root is a directory of this host
    hint: write `"pragma": {"to_git": true}` into its root
    "#);
}

#[test]
fn a_branch_without_a_commit_is_not_fixed_in_content() {
    let text = r#"{"environment": ["a", "", "x"], "repositories": {"a": {"repository":
        {"type": "git", "repository": "https://example.org/x.git", "branch": "main"}}}}"#;
    insta::assert_snapshot!(refused_spec(text, 13), @r#"
    error: repository `a` is not fixed by content: branch `main` without a commit can move
    hint: write `"commit": "…"` with the id that `git ls-remote https://example.org/x.git refs/heads/main` prints
    "#);
}

#[test]
fn a_spec_file_that_is_not_there_is_named() {
    let world = World::new();
    let stderr = fail(world.client("client").args(["fetch", "no-such-spec.json"]), 1);
    insta::assert_snapshot!(stderr, @r"
    error: cannot read the spec `no-such-spec.json`
    caused by: No such file or directory (os error 2)
    hint: give the path of a spec file, as in `envserve fetch spec.json`
    ");
}

#[test]
fn environments_that_use_one_another_in_a_circle_are_refused() {
    let uses = |name: &str| json!({"type": "tree", "inputs": {"x": {"env": name}}});
    let environments = json!({"a": uses("b"), "b": uses("c"), "c": uses("b")});
    insta::assert_snapshot!(refused_environment("a", &environments, 1), @r#"error: `SERVER` refuses: environments use one another in a circle: b -> c -> b"#);
}

#[test]
fn an_environment_that_does_not_exist_lists_the_nearest() {
    let environments = json!({"toolchain": {"type": "tree", "inputs": {}}, "tools": {"type": "tree", "inputs": {}}});
    insta::assert_snapshot!(refused_environment("toolchian", &environments, 1), @"error: HOME/source/ENVS: there is no environment `toolchian`; the nearest are `toolchain`, `tools`");
}

#[test]
fn a_name_to_which_nothing_is_bound_is_refused() {
    let environments = json!({"a": {"type": "tree", "inputs": {"x": {"root": "wheels"}}}});
    insta::assert_snapshot!(refused_environment("a", &environments, 1), @r#"error: `SERVER` refuses: environment `a`: nothing is bound to `wheels`, or to any other name"#);
}

#[test]
fn a_path_that_a_root_does_not_have_is_named() {
    let environments = json!({"a": {"type": "tree", "inputs": {"x": {"path": "no/such"}}}});
    let shown = refused_environment("a", &environments, 1);
    assert!(shown.contains("`no/such`") && shown.contains("input `x`"), "{shown}");
}

#[test]
fn a_variable_that_is_not_set_is_named_with_the_option_that_sets_it() {
    let environments =
        json!({"a": {"type": "tree", "flexible_config": ["ARCH"], "inputs": {"x": {"path": "{{ARCH}}"}}}});
    insta::assert_snapshot!(refused_environment("a", &environments, 1), @"error: `SERVER` refuses: ENVS: a.inputs.x.path: the variable `ARCH` has no value (give it a value with `-c ARCH=…`)");
}

#[test]
fn outputs_that_the_command_did_not_make_are_named() {
    let environments = json!({"a": script("echo working; mkdir out", &["out", "lib/x", "y"])});
    insta::assert_snapshot!(refused_environment("a", &environments, 16), @r#"
    error: environment `a` failed to build: its command did not make `lib/x`, `y`
    the end of its output:
      | working
    hint: the whole log is blob `blake3:15459d81c92e8363ad91675090441a3d6e3aef19fb1a430eef3595ac4049e7c7/8` in the CAS
    "#);
}

#[test]
fn a_command_that_does_not_end_is_stopped() {
    let mut slow = script("echo started; sleep 1000 & sleep 1000", &["out"]);
    slow["timeout"] = json!(1);
    insta::assert_snapshot!(refused_environment("a", &json!({"a": slow}), 16), @r#"
    error: environment `a` failed to build: its command did not end within 1 s
    the end of its output:
      | started
    hint: the whole log is blob `blake3:557d7e774dac51f663dfb06d27a3587bcf9d3a6c103006c38666cc87d2577894/8` in the CAS
    "#);
}

#[test]
fn symlinks_that_leave_the_tree_are_refused() {
    for (target, made) in [("/etc/passwd", "absolute"), ("../../up", "upwards")] {
        let environments = json!({"a": script(&format!("mkdir out; ln -s {target} out/link"), &["out"])});
        let shown = refused_environment("a", &environments, 16);
        assert!(shown.contains("out/link") && shown.contains(target) && shown.contains("leaves"), "{made}: {shown}");
    }
}

#[test]
fn a_fifo_among_the_outputs_is_refused() {
    let environments = json!({"a": script("mkdir out; mkfifo out/pipe", &["out"])});
    let shown = refused_environment("a", &environments, 16);
    assert!(shown.contains("out/pipe"), "{shown}");
}

fn git_tree(world: &World, id: &str, command: &[&str]) -> PathBuf {
    let mut wanted = spec("x");
    wanted["repositories"]["main"]["repository"] =
        json!({"type": "git tree", "id": id, "cmd": command, "inherit env": ["PATH"]});
    world.write("spec.json", wanted.to_string())
}

#[test]
fn a_command_that_yields_another_tree_shows_both_ids() {
    let world = World::new();
    let expected = "5".repeat(40);
    let spec = git_tree(&world, &expected, &["sh", "-c", "echo '{}' >ENVS"]);
    let daemon = world.daemon();
    insta::assert_snapshot!(refused(&world, &daemon, &spec, 1), @r#"
    error: the command of repository `main` gave the tree `79011516e51978f638ff69a5862dea9c0b2cd3f3`, not `5555555555555555555555555555555555555555`
    hint: if what the command gave is what you want, write `"id": "79011516e51978f638ff69a5862dea9c0b2cd3f3"`
    "#);
}

#[test]
fn a_command_that_fails_shows_what_it_said() {
    let world = World::new();
    let spec = git_tree(&world, &"5".repeat(40), &["sh", "-c", "echo no such package >&2; exit 4"]);
    let daemon = world.daemon();
    insta::assert_snapshot!(refused(&world, &daemon, &spec, 1), @r"
    error: `sh -c echo no such package >&2; exit 4` failed (exit status: 4) for repository `main`:
    no such package
    ");
}

#[test]
fn a_command_that_is_not_installed_is_named() {
    let world = World::new();
    let spec = git_tree(&world, &"5".repeat(40), &["no-such-downloader"]);
    let daemon = world.daemon();
    let shown = refused(&world, &daemon, &spec, 1);
    assert!(shown.contains("no-such-downloader") && shown.contains("hint: install"), "{shown}");
}

#[test]
fn a_commit_that_is_not_there_is_named() {
    let world = World::new();
    world.write("repository/f", "x");
    let repository = world.path("repository");
    git(&repository, &["init", "-q", "-b", "main"]);
    git(&repository, &["add", "-A"]);
    git(&repository, &["commit", "-q", "-m", "m"]);
    let mut wanted = spec("x");
    let commit = "7".repeat(40);
    wanted["repositories"]["main"]["repository"] =
        json!({"type": "git", "repository": "./repository", "branch": "main", "commit": commit});
    let path = world.write("spec.json", wanted.to_string());
    let daemon = world.daemon();
    insta::assert_snapshot!(refused(&world, &daemon, &path, 1), @r"
    error: commit `7777777777777777777777777777777777777777` is not in `HOME/repository`, neither by itself nor on branch `main`
    hint: check `commit` and `branch`; was the branch rewritten?
    ");
}

#[test]
fn a_source_tree_with_a_name_that_is_no_component_is_refused() {
    // Git itself refuses to check such a tree out; it can be made all the same.
    let world = World::new();
    let repository = world.path("repository");
    std::fs::create_dir(&repository).expect("temporary");
    git(&repository, &["init", "-q", "-b", "main"]);
    world.write("repository/blob", "x");
    let blob = git(&repository, &["hash-object", "-w", "blob"]);
    let environments =
        world.write("repository/e", json!({"a": {"type": "tree", "inputs": {"": {"path": ""}}}}).to_string());
    let file = git(&repository, &["hash-object", "-w", &environments.display().to_string()]);
    let entries = format!("100644 blob {blob}\t..\n100644 blob {file}\tENVS\n");
    let mktree = world.write("tree", entries);
    let line = format!("git -C {} mktree <{}", repository.display(), mktree.display());
    let tree = crate::support::succeed(std::process::Command::new("sh").args(["-c", &line]));
    let commit = git(&repository, &["commit-tree", "-m", "m", &tree]);
    git(&repository, &["branch", "-f", "evil", &commit]);
    let mut wanted = spec("a");
    wanted["repositories"]["main"]["repository"] =
        json!({"type": "git", "repository": "./repository", "branch": "evil", "commit": commit});
    let path = world.write("spec.json", wanted.to_string());
    let daemon = world.daemon();
    let shown = refused(&world, &daemon, &path, 1);
    assert!(shown.contains("`..`"), "{shown}");
}

#[test]
fn wrong_options_end_with_the_code_for_usage() {
    let world = World::new();
    for arguments in [vec!["fetch"], vec!["no-such-verb"], vec!["fetch", "x", "--absent", "--install", "y"]] {
        fail(world.client("client").args(arguments), 2);
    }
    let example = "examples/c-toolchain/spec.json";
    let stderr = fail(world.client("client").env("ENVSERVE_SERVE", "nonsense").args(["fetch", example]), 2);
    assert!(stderr.contains("`nonsense` is no address"), "{stderr}");
}
