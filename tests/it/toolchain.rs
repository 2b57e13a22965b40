//! The example that the README begins with: a C toolchain from three wheels.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{World, contents, fail, files, git, succeed};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/c-toolchain")
}

#[test]
fn a_c_program_is_compiled_with_a_toolchain_whose_wheels_the_second_client_never_sees() {
    let world = World::new();
    let daemon = world.daemon();
    let spec = example().join("spec.json");
    let directory = PathBuf::from(succeed(world.client_of(&daemon, "first").arg("fetch").arg(&spec)));
    let program = world.path("hello");
    let mut compile = world.client_of(&daemon, "first");
    compile.arg("shell").arg(&spec).args(["--", "cc", "-o"]).arg(&program).arg(example().join("hello.c"));
    succeed(compile.env("HOME", world.path("home")));
    assert!(succeed(&mut std::process::Command::new(&program)).to_lowercase().contains("hello"));

    let absent = world.path("elsewhere/spec.json");
    fs::create_dir_all(absent.parent().expect("has one")).expect("temporary");
    fs::copy(example().join("spec-absent.json"), &absent).expect("copied");
    let second = succeed(world.client_of(&daemon, "second").arg("fetch").arg(&absent));
    assert_eq!(contents(Path::new(&second)), contents(&directory));
    for file in files(&world.path("second")) {
        let name = file.to_string_lossy().into_owned();
        assert!(!name.ends_with(".whl") && !name.contains("/objects/"), "{name}");
    }
}

#[test]
fn the_absent_form_of_the_example_names_the_tree_that_git_computes() {
    let world = World::new();
    let copy = world.path("env");
    succeed(std::process::Command::new("cp").arg("-a").arg(example().join("env")).arg(&copy));
    git(&copy, &["init", "-q"]);
    git(&copy, &["add", "-A"]);
    let tree = git(&copy, &["write-tree"]);
    let spec = fs::read(example().join("spec-absent.json")).expect("there");
    let spec: Value = serde_json::from_slice(&spec).expect("JSON");
    assert_eq!(spec["repositories"]["tools"]["repository"]["id"], tree);
}

#[test]
fn the_wheels_are_not_fetched_from_where_they_are_absent() {
    let world = World::new();
    let daemon = world.daemon();
    let stderr = fail(world.client_of(&daemon, "client").arg("fetch").arg(example().join("spec-absent.json")), 1);
    assert!(stderr.contains("absent root of repository"), "{stderr}");
}
