//! The example, done as its README shows it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::shell;
use crate::support::{World, block, run, succeed, text};

#[test]
fn the_example_does_what_its_readme_says() {
    let world = World::new();
    let daemon = world.daemon();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/just");
    let readme = fs::read_to_string(example.join("README.md")).expect("there");
    let copy = world.path("example");
    succeed(Command::new("cp").arg("-a").arg(&example).arg(&copy));
    let mut keep = shell(&world, &copy, &block(&readme, "Where the environments are kept"));
    succeed(keep.env("ENVSERVE_ROOT", world.path("keeper")).env("ENVSERVE_SERVE", &daemon.address));
    fs::remove_dir_all(copy.join("environments")).expect("there");

    let script = block(&readme, "Where they are used").replace("127.0.0.1:8981", &daemon.address);
    let output = run(&mut shell(&world, &copy, &script));
    assert!(output.status.success(), "{}{}\n{}", text(&output.stdout), text(&output.stderr), daemon.log());
    let hello = fs::read_to_string(copy.join("result/hello")).expect("installed");
    assert_eq!(hello, "Good morning, WORLD\n");
    assert_eq!(daemon.builds(), 2, "the keeper's and just's, in a function each");
}
