//! Unmodified `just` and `just-mr` with the daemon as their serve endpoint.

mod consumer;
mod environments;
mod example;
mod failures;
mod function;
mod remote;
mod roots;
mod trees;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Daemon, World, files, git, path, program, run, script, text};

/// Most seconds that a client may take.
const SECONDS: &str = "60";

/// What no client may have of an environment: this stands in each source and each output.
const SECRET: &str = "never on a client";

/// A repository that the daemon knows, and a project whose other repositories are absent.
struct Project {
    world: World,
    commit: String,
}

impl Project {
    /// Makes a project of which `env` is an absent repository with these environments.
    fn new(environments: &Value) -> Self {
        let world = World::new();
        world.write("known/envs/ENVS", environments.to_string());
        world.write("known/envs/source", format!("{SECRET}\n"));
        world.write("consumer/ROOT", "");
        let commit = commit(&world.path("known"));
        let project = Self { world, commit };
        project.repositories(&json!({"env": project.absent("envs")}));
        project
    }

    /// Starts a daemon that knows the repository.
    fn daemon(&self, options: &[&str]) -> Daemon {
        self.daemon_at("serve", options)
    }

    /// Starts one with a root of this name.
    fn daemon_at(&self, root: &str, options: &[&str]) -> Daemon {
        let known = self.world.path("known");
        let known = ["--repository", known.to_str().expect("UTF-8")];
        Daemon::start(&self.world.path(root), &[&known, options].concat())
    }

    /// Returns an absent repository: a directory of the known commit, at an address where nothing is.
    fn absent(&self, subdir: &str) -> Value {
        let mut repository = self.present(subdir);
        repository["pragma"] = json!({"absent": true});
        json!({"repository": repository, "target_file_name": "ENVS"})
    }

    /// Returns the root that is a directory of the known commit, at an address where nothing is.
    fn present(&self, subdir: &str) -> Value {
        json!({"type": "git", "commit": self.commit, "branch": "main", "repository": "/nowhere/at/all", "subdir": subdir})
    }

    /// Writes the description of the project: these repositories, to which it is bound by their names.
    fn repositories(&self, repositories: &Value) {
        let names = repositories.as_object().expect("an object").keys();
        let bindings: BTreeMap<&String, &String> = names.map(|name| (name, name)).collect();
        let mut all = repositories.clone();
        all["main"] = json!({"repository": {"type": "file", "path": "."}, "bindings": bindings});
        self.world.write("consumer/repos.json", json!({"main": "main", "repositories": all}).to_string());
    }

    /// Writes the targets of the project: actions that run a script on environments, and leave `out`.
    fn targets(&self, targets: &[(&str, &[&str], &str)]) {
        let target = |&(name, environments, script): &(&str, &[&str], &str)| {
            let deps: Vec<Value> = environments.iter().map(|name| json!(["@", "env", "", name])).collect();
            (name.to_owned(), json!({"type": "generic", "cmds": [script], "outs": ["out"], "deps": deps}))
        };
        let targets: serde_json::Map<_, _> = targets.iter().map(target).collect();
        self.world.write("consumer/TARGETS", Value::Object(targets).to_string());
    }

    /// Returns `just-mr` with a build root of its own and the daemon as its serve endpoint.
    fn just_mr(&self, daemon: &Daemon, client: &str, arguments: &[&str]) -> Command {
        let mut command = self.tool("just-mr");
        command.args(["--norc", "--just"]).arg(program("justbuild")).arg("--local-build-root");
        command.arg(self.build_root(client)).args(["-R", &daemon.address, "--compatible", "--plain-log"]);
        command.args(["-C", "repos.json"]).args(arguments);
        command
    }

    /// Returns a program that runs in the project and knows nothing of who runs the tests.
    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", SECONDS]).arg(program(name));
        command.current_dir(self.world.path("consumer")).env_clear().env("HOME", self.world.path("home"));
        command.env("PATH", "/usr/bin:/bin");
        command
    }

    fn build_root(&self, client: &str) -> PathBuf {
        self.world.path(&format!("client-{client}"))
    }

    /// Installs a target and returns what its file `out` holds.
    fn installed(&self, daemon: &Daemon, client: &str, target: &str, more: &[&str]) -> String {
        self.done(daemon, client, &[&["install", "-o", "result", target], more].concat());
        fs::read_to_string(self.world.path("consumer/result/out")).expect("installed")
    }

    /// Runs a subcommand that must succeed, and returns what it says.
    fn done(&self, daemon: &Daemon, client: &str, arguments: &[&str]) -> String {
        self.ended(daemon, &mut self.just_mr(daemon, client, arguments), 0)
    }

    /// Runs a command that must end with this code, and returns what it says.
    fn ended(&self, daemon: &Daemon, command: &mut Command, code: i32) -> String {
        let output = run(command);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{command:?}\n{said}\n{}", daemon.log());
        said
    }

    /// Says whether a client has anything that may not get there.
    fn is_clean(&self, client: &str) -> bool {
        let files = files(&self.build_root(client));
        assert!(files.len() > 3, "{files:?}");
        !files.iter().any(|file| holds(file, SECRET))
    }
}

/// Says whether a file holds a text.
fn holds(file: &Path, wanted: &str) -> bool {
    let bytes = fs::read(file).unwrap_or_default();
    bytes.windows(wanted.len()).any(|part| part == wanted.as_bytes())
}

/// Makes a directory a Git repository with one commit, whose id is returned.
fn commit(directory: &Path) -> String {
    git(directory, &["init", "--quiet", "--initial-branch=main"]);
    git(directory, &["add", "--all"]);
    git(directory, &["commit", "--quiet", "--message=all"]);
    git(directory, &["rev-parse", "HEAD"])
}

/// An environment that runs a script on its own root, and has `out` as output.
fn environment(lines: &str, variables: &[&str]) -> Value {
    let mut environment = script(lines, &["out"]);
    environment["inputs"] = json!({"own": {"path": "."}});
    environment["flexible_config"] = json!(variables);
    environment
}

/// Returns a shell that runs what a page shows, in this directory.
fn shell(world: &World, directory: &Path, script: &str) -> Command {
    // Where Debian's package is installed, just-mr finds the other program by itself.
    let script = script.replace("just-mr ", &format!("just-mr --just {} ", program("justbuild").display()));
    let mut programs = path();
    programs.extend(Path::new(env!("CARGO_BIN_EXE_envserve")).parent().map(Path::to_owned));
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", SECONDS, "/bin/sh", "-euc", &script]).current_dir(directory);
    command.env_clear().env("HOME", world.path("home"));
    command.env("PATH", std::env::join_paths(programs).expect("no colon in it"));
    command
}
