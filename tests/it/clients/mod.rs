//! Clients of the remote-execution API that others wrote, used as `docs/clients.md` shows it.

pub(crate) mod bazel;
mod casd;
mod just;
mod recc;
mod trees;
mod trexe;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{Daemon, World, block, path, run, text};

/// Most seconds that a client may take.
const SECONDS: &str = "50";

/// A daemon, and a directory in which its clients work.
struct Project {
    world: World,
    daemon: Daemon,
}

impl Project {
    /// Starts a daemon for the tests of these programs, which must be installed.
    fn new(programs: &[&str]) -> Self {
        for program in programs {
            let found = path().iter().any(|directory| directory.join(program).exists());
            assert!(found, "`{program}` is not installed: run `.ci/setup test`");
        }
        let world = World::new();
        fs::create_dir(world.path("project")).expect("temporary");
        let daemon = world.daemon();
        Self { world, daemon }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.path("project").join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        self.world.write(&format!("project/{name}"), text);
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("`{name}`: {error}"))
    }

    /// Returns what the documentation shows below a heading, with the address of the daemon.
    fn shown(&self, heading: &str) -> String {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md");
        let page = fs::read_to_string(page).expect("there");
        block(&page, &format!("## {heading}")).replace("127.0.0.1:8981", &self.daemon.address)
    }

    /// Returns a shell that runs a script in the project, and knows nothing of who runs the tests.
    ///
    /// The words before it run it; what it prints, on stderr as well, is its stdout.
    fn shell(&self, before: &[&str], script: &str) -> Command {
        let mut words = before.to_vec();
        let script = format!("exec 2>&1\n{script}");
        words.extend(["/bin/sh", "-euc", &script]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.path("")).stdin(Stdio::null());
        command.env_clear().env("HOME", self.world.path("home"));
        command.env("PATH", env::join_paths(path()).expect("no colon in it"));
        command
    }

    /// Runs a script to its end.
    fn run(&self, script: &str) -> Output {
        run(&mut self.shell(&["timeout", "--kill-after=5", SECONDS], script))
    }

    /// Runs a script that must succeed, and returns what it prints.
    fn succeed(&self, script: &str) -> String {
        self.end(script, 0)
    }

    /// Runs a script that must end with this code, and returns what it prints.
    fn end(&self, script: &str, code: i32) -> String {
        let output = self.run(script);
        let printed = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{script}\n{printed}\n{}", self.daemon.log());
        printed
    }
}
