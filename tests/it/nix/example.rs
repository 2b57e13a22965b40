//! The example `nix`: a C compiler as a closure.

use std::path::Path;
use std::process::Command;

use crate::support::{World, succeed};

#[test]
fn the_compiler_of_the_example_compiles_and_another_target_shares_its_zig() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let world = World::new();
    let daemon = world.daemon();
    let client = |verb: &str| {
        let mut command = world.client_of(&daemon, "client");
        command.arg(verb).arg(examples.join("nix/spec.json")).env("HOME", world.path("home"));
        command
    };
    let program = world.path("hello");
    let mut compile = client("shell");
    compile.args(["--", "cc", "-o"]).arg(&program).arg(examples.join("c-toolchain/hello.c"));
    succeed(&mut compile);
    assert!(succeed(&mut Command::new(&program)).to_lowercase().contains("hello"));
    let other = succeed(client("fetch").args(["--json", "-c", "TARGET=aarch64-linux-musl"]));
    let other: serde_json::Value = serde_json::from_str(&other).expect("JSON");
    let fetched = other["downloaded_bytes"].as_u64().expect("a number");
    assert!(fetched < 1 << 20, "{fetched} bytes: Zig is there already");
}
