//! The example for direnv, with direnv.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Daemon, World, run, succeed, text};

/// The example in a directory of its own, and a server.
struct Shell {
    world: World,
    daemon: Daemon,
}

impl Shell {
    fn new() -> Self {
        let world = World::new();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/direnv");
        succeed(Command::new("cp").arg("-r").arg(example).arg(world.path("example")));
        let daemon = Daemon::start(&world.path("daemon"), &["--sandbox", "none"]);
        Self { world, daemon }
    }

    /// Returns direnv, as somebody who has nothing configured runs it in the example.
    fn direnv(&self, arguments: &[&str]) -> Command {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_envserve"));
        let path = format!("{}:/usr/bin:/bin", program.parent().expect("a file").display());
        let mut command = Command::new("direnv");
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.world.path("home"))
            .env("ENVSERVE_SERVE", &self.daemon.address);
        command.env("ENVSERVE_ROOT", self.world.path("client")).current_dir(self.world.path("example"));
        command.args(arguments).stdin(Stdio::null());
        command
    }
}

#[test]
fn a_directory_that_is_allowed_has_the_environment_of_its_spec() {
    let shell = Shell::new();
    let hello = ["exec", ".", "hello"];
    assert!(!run(&mut shell.direnv(&hello)).status.success(), "nobody allowed it");
    succeed(&mut shell.direnv(&["allow"]));
    assert_eq!(succeed(&mut shell.direnv(&hello)), "hello from an environment");
    assert_eq!(shell.daemon.builds(), 1);
    assert_eq!(succeed(&mut shell.direnv(&hello)), "hello from an environment");
    assert_eq!(shell.daemon.builds(), 1);

    let file = shell.world.path("example/source/ENVS");
    let changed = fs::read_to_string(&file).expect("there").replace("from an", "from another");
    fs::write(&file, changed).expect("temporary");
    assert_eq!(succeed(&mut shell.direnv(&hello)), "hello from another environment");
}

#[test]
fn what_the_environment_is_made_of_is_watched() {
    let shell = Shell::new();
    succeed(&mut shell.direnv(&["allow"]));
    let watches = |file: &str| {
        let exported = succeed(&mut shell.direnv(&["exec", ".", "sh", "-c", "direnv show_dump \"$DIRENV_WATCHES\""]));
        assert!(exported.contains(file), "{file}: {exported}");
    };
    watches("example/spec.json");
    watches("example/source/ENVS");
}

#[test]
fn what_fails_is_said_and_leaves_the_directory_without_the_environment() {
    let shell = Shell::new();
    shell.world.write("example/spec.json", "{}");
    succeed(&mut shell.direnv(&["allow"]));
    let output = run(&mut shell.direnv(&["exec", ".", "hello"]));
    let stderr = text(&output.stderr);
    assert!(!output.status.success() && stderr.contains("spec.json"), "{stderr}");
}
