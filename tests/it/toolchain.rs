//! The example that the README begins with: a C toolchain from three wheels.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Daemon, World, contents, fail, files, git, succeed};

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
    a_killed_fetch_goes_on(&world, &daemon, &absent, &directory);
}

/// Kills a fetch again and again, each time when more blobs have arrived; the last one gets the rest.
fn a_killed_fetch_goes_on(world: &World, daemon: &Daemon, spec: &Path, expected: &Path) {
    let blobs = world.path("third/blobs/blake3");
    let arrived = || -> usize {
        let prefixes = fs::read_dir(&blobs).into_iter().flatten().flatten();
        prefixes.map(|prefix| fs::read_dir(prefix.path()).into_iter().flatten().count()).sum()
    };
    for threshold in [1, 2000, 5000, 9000] {
        let mut client = world.client_of(daemon, "third");
        let mut client =
            client.arg("fetch").arg(spec).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("runs");
        while arrived() < threshold && client.try_wait().expect("waitable").is_none() {
            std::thread::yield_now();
        }
        client.kill().expect("killable");
        client.wait().expect("waitable");
    }
    let kept = arrived();
    let report = succeed(world.client_of(daemon, "third").args(["fetch", "--json"]).arg(spec));
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let directory = PathBuf::from(report["directory"].as_str().expect("text"));
    assert_eq!(contents(&directory), contents(expected));
    let whole: u64 = files(expected).iter().map(|file| fs::metadata(file).expect("there").len()).sum();
    let downloaded = report["downloaded_bytes"].as_u64().expect("a number");
    assert!(kept >= 9000 && downloaded < whole * 3 / 4, "{kept} blobs were here, {downloaded} of {whole} bytes came");
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
