//! What is told on stderr while work goes on.

mod board;
mod events;
mod hostile;
mod lines;
mod screens;
mod terminal;
mod uploads;

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Daemon, World};

/// A world with a daemon whose actions wait until they are let go on.
struct Stage {
    world: World,
    daemon: Daemon,
}

impl Stage {
    fn new() -> Self {
        let world = World::new();
        let daemon = Daemon::start(&world.path("daemon"), &["--sandbox", "none", "--jobs", "20"]);
        Self { world, daemon }
    }

    /// Returns an environment whose action runs one script, waits to be let go on, and runs another.
    fn waiting(&self, before: &str, after: &str) -> Value {
        let wait = format!("until [ -e {} ]; do sleep 0.05; done", self.world.path("go").display());
        let script = format!("{before}; {wait}; {after}");
        json!({"type": "tree", "cmd": ["/bin/sh", "-c", script], "outs": ["out"], "env": {"PATH": "/usr/bin:/bin"}})
    }

    /// Lets the actions go on, those that are to come as well.
    fn go(&self) {
        self.world.write("go", "");
    }

    /// Returns the spec of a build that says two words and waits.
    fn talk(&self) -> PathBuf {
        self.world.spec("talk", &json!({"talk": self.waiting("echo step one; echo step two", "echo x >out")}))
    }

    /// Returns the spec of one that says what no terminal may obey, waits, and fails.
    fn hostile(&self) -> PathBuf {
        let evil = r"printf 'evil\033[2J\033[H\033]0;owned\007\033]52;c;aGk=\007 words\n'";
        self.world.spec("hostile", &json!({"hostile": self.waiting(evil, "exit 3")}))
    }

    fn client(&self, root: &str) -> Command {
        self.world.client_of(&self.daemon, root)
    }
}
