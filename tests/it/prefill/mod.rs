//! `envserve prefill`: the job that fills the cache.

mod endings;
mod failing;
mod fill;
mod kinds;
mod pins;
mod reports;
mod sources;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Daemon, World, object, spec};

/// A world whose actions are counted: they run without a sandbox, and write what they do to a file.
struct Farm {
    world: World,
    daemon: Daemon,
}

impl Farm {
    fn new() -> Self {
        let world = World::new();
        let mut command = Command::new("env");
        // Every call is logged.
        command.arg("ENVSERVE_LOG=info,envserve::serve::requests=debug");
        let options = ["--sandbox", "none", "--jobs", "4"];
        let daemon = Daemon::start_by(command, "serve", &world.path("daemon"), &options);
        Self { world, daemon }
    }

    /// Returns an environment whose action is counted under this name, and then runs a script.
    fn counted(&self, name: &str, script: &str) -> Value {
        let counter = self.world.path("counter").display().to_string();
        let script = format!("echo {name} >>{counter}; {script}");
        json!({"type": "tree", "cmd": ["/bin/sh", "-c", script], "outs": ["out"], "env": {"PATH": "/usr/bin:/bin"}})
    }

    /// Returns the actions that ran, sorted.
    fn counts(&self) -> Vec<String> {
        let text = fs::read_to_string(self.world.path("counter")).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }

    /// Writes the environments of the directory `source`.
    fn environments(&self, environments: &Value) {
        self.world.write("source/ENVS", environments.to_string());
    }

    /// Writes a spec for an environment of `source`.
    fn spec(&self, file: &str, name: &str) -> PathBuf {
        let mut spec = spec(name);
        let source = self.world.path("source").display().to_string();
        spec["repositories"]["main"]["repository"]["path"] = source.into();
        self.world.write(file, spec.to_string())
    }

    fn command(&self, client: &str) -> Command {
        let mut command = self.world.client_of(&self.daemon, client);
        command.arg("prefill");
        command
    }

    /// Fills something, and returns the report.
    fn fill(&self, client: &str, arguments: &[&str]) -> Value {
        object(self.command(client).arg("--json").args(arguments).current_dir(self.world.path("")))
    }
}

/// Returns what became of each item, by its name in its file.
fn outcomes(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let items = report["items"].as_array().expect("a list");
    items.iter().map(|item| (text(&item["environment"][2]), text(&item["outcome"]))).collect()
}

fn expected(outcomes: &[(&str, &str)]) -> Vec<(String, String)> {
    outcomes.iter().map(|(name, outcome)| ((*name).to_owned(), (*outcome).to_owned())).collect()
}

fn totals(hit: usize, built: usize, failed: usize) -> Value {
    json!({"items": hit + built + failed, "hit": hit, "built": built, "failed": failed, "unfinished": 0})
}
