//! The example `bazel`, done as its README shows it: by Bazel and by just.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::clients::bazel::{offline, processes};
use crate::support::{Daemon, World, block, criu, files, path, run, succeed, text};

/// Most bytes that a client keeps of an image that it does not have.
const NOTHING: u64 = 100 << 10;

/// Returns a copy of the example, in which only what is below is written to.
fn example(world: &World) -> PathBuf {
    let copy = world.path("example");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/bazel");
    succeed(Command::new("cp").arg("-a").arg(example).arg(&copy));
    copy
}

/// Runs the block of the README that follows a line.
fn follow(world: &World, daemon: &Daemon, example: &Path, before: &str) -> Output {
    let readme = fs::read_to_string(example.join("README.md")).expect("there");
    let script =
        block(&readme, before).replace("127.0.0.1:8981", &daemon.address).replace("bazel test", "bazel-4 test");
    let programs = Path::new(env!("CARGO_BIN_EXE_envserve")).parent().expect("has one").to_owned();
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120", "/bin/sh", "-euc", &format!("exec 2>&1\n{script}")]).current_dir(example);
    command.env_clear().env("HOME", world.path("home")).env("ENVSERVE_ROOT", world.path("client"));
    command.env("PATH", std::env::join_paths(std::iter::once(programs).chain(path())).expect("no colon in it"));
    let output = run(&mut command);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), daemon.log());
    output
}

/// Checks that a client has nothing of the image, of which the daemon has much.
fn assert_absent(world: &World, daemon: &Daemon) {
    let bytes = |directory: &Path| -> u64 {
        files(directory).iter().map(|file| fs::symlink_metadata(file).map_or(0, |found| found.len())).sum()
    };
    let (here, there) = (bytes(&world.path("client")), bytes(&daemon.root.join("blobs")));
    assert!(here < NOTHING && there > 10 * NOTHING, "{here} bytes here, {there} there");
}

/// Has Bazel run what follows a line of the README, and returns what it says.
fn by_bazel(world: &World, daemon: &Daemon, example: &Path, before: &str) -> Output {
    fs::write(example.join(".bazelrc"), offline(world)).expect("temporary");
    let output = follow(world, daemon, example, before);
    let shut_down =
        Command::new("bazel-4").arg("shutdown").current_dir(example).env("HOME", world.path("home")).output();
    assert!(shut_down.expect("it was there").status.success());
    output
}

#[test]
fn bazel_runs_a_test_in_an_image_that_the_client_never_has() {
    let world = World::new();
    let daemon = world.daemon();
    let example = example(&world);
    let output = by_bazel(&world, &daemon, &example, "With Bazel:");
    assert_eq!(processes(&text(&output.stdout)), ["2 remote"]);
    assert_absent(&world, &daemon);
}

#[test]
fn bazel_runs_a_test_with_a_restored_service_beside_it() {
    let world = World::new();
    let mut command = Command::new("env");
    command.env("ENVSERVE_CRIU", criu());
    let daemon = Daemon::start_by(command, "serve", &world.path("daemon"), &["--checkpoints-for-all"]);
    let example = example(&world);
    let output = by_bazel(&world, &daemon, &example, "The digest of the service");
    assert_eq!(processes(&text(&output.stdout)), ["2 remote"]);
    assert_absent(&world, &daemon);
}

#[test]
fn just_builds_in_an_image_that_the_client_never_has() {
    let world = World::new();
    let daemon = world.daemon();
    let example = example(&world);
    follow(&world, &daemon, &example, "With just,");
    assert_eq!(fs::read_to_string(example.join("result/greeting")).expect("installed"), "hello, just\n");
    assert_absent(&world, &daemon);
}
