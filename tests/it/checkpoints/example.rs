//! The example `testcontainers`, done as its README shows it: in Python and in shell.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Daemon, World, block, criu, path, run, succeed, text, until};

/// What is said in the README before each of its blocks.
const STEPS: [&str; 3] = ["First, once,", "Then a copy of the database.", "The tests in Python,"];

#[test]
fn tests_in_python_and_in_shell_run_against_copies_of_their_own() {
    let world = World::new();
    let criu = criu();
    let options = ["--criu", criu.to_str().expect("UTF-8"), "--checkpoints-for-all"];
    let daemon = Daemon::start(&world.path("daemon"), &options);
    let example = world.path("example");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/testcontainers");
    succeed(Command::new("cp").arg("-a").arg(source).arg(&example));
    let readme = fs::read_to_string(example.join("README.md")).expect("there");
    let script: Vec<String> = STEPS.iter().map(|step| block(&readme, step)).collect();
    let programs = Path::new(env!("CARGO_BIN_EXE_envserve")).parent().expect("has one").to_owned();
    let sbin = ["/usr/sbin".into(), "/sbin".into()];
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "1200", "/bin/sh", "-euc"]).arg(format!("exec 2>&1\n{}", script.join("\n")));
    command.current_dir(&example).env_clear().env("HOME", world.path("home")).env("ENVSERVE_SERVE", &daemon.address);
    command.env("ENVSERVE_ROOT", world.path("client")).env("ENVSERVE_CRIU", &criu);
    let programs = std::iter::once(programs).chain(path()).chain(sbin);
    command.env("PATH", std::env::join_paths(programs).expect("no colon in it"));
    let output = run(&mut command);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", daemon.log());
    assert!(said.contains("\nRan 9 tests in ") && said.contains("\nOK\n"), "{said}");
    for name in ["an_order_is_added", "the_orders_of_a_customer_are_deleted", "a_reset_brings_everything_back"] {
        assert!(said.contains(&format!("ok {name}\n")), "{said}");
    }
    assert_eq!(daemon.builds(), 5, "an image for both, one for each, and their checkpoints: {said}");
    // The copies belonged to the shell, to Python, and to the script.
    until("the copies are gone", || {
        let directories = fs::read_dir(world.path("client/instances")).into_iter().flatten().flatten();
        let left = directories.filter(|entry| entry.path().is_dir()).count();
        (left == 0).then_some(())
    });
}
