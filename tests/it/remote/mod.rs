//! On a cluster that is there already: `envserve serve --remote`.

mod addresses;
mod blobs;
mod faults;
mod matrix;
mod proxy;
mod replicas;
mod told;
mod unavailable;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Daemon, Node, World, run, script, succeed, text, tree};

/// What is large here: no batch takes it.
const LARGE: usize = 5 << 20;
/// Everything that endpoints treat differently, from inputs of each kind; but first the action waits.
const SCRIPT: &str = r#"{{WAIT}}
    mkdir -p out/deep/er
    cp -RP in out/given
    cat in/large in/large >out/deep/large
    : >out/deep/empty
    printf '#!/bin/sh\necho ran\n' >out/deep/er/run
    chmod +x out/deep/er/run
    ln -s deep/er/run out/link
    echo {{NAME}} >out/deep/name
    echo the action ran"#;

/// A world with an environment that nobody has built before.
struct Case {
    world: World,
    spec: PathBuf,
}

impl Case {
    fn new() -> Self {
        Self::with("")
    }

    /// Makes a world whose environment is built by an action that runs `sleep` for this time first.
    fn that_sleeps(seconds: &str) -> Self {
        Self::with(&format!("sleep {seconds}"))
    }

    fn with(wait: &str) -> Self {
        let world = World::new();
        let mut random = fastrand::Rng::with_seed(1);
        let mut large = vec![0; LARGE];
        random.fill(&mut large);
        world.write("source/given/large", large);
        world.write("source/given/sub/empty", "");
        world.write("source/given/sub/file", "a file\n");
        std::os::unix::fs::symlink("sub/file", world.path("source/given/link")).expect("temporary");
        let command = SCRIPT.replace("{{WAIT}}", wait).replace("{{NAME}}", &fastrand::u64(..).to_string());
        let mut made = script(&command, &["out"]);
        made["inputs"] = json!({"in": {"path": "given"}});
        let environments = json!({
            "made": made,
            "all": {"type": "tree", "inputs": {"made": {"env": "made", "path": "out"}, "given": {"path": "given"}}},
        });
        let spec = world.spec("all", &environments);
        Self { world, spec }
    }

    /// Starts a daemon with a root of this name on an endpoint at this address.
    fn serve(&self, root: &str, remote: &str) -> Daemon {
        Daemon::start(&self.world.path(root), &["--remote", remote])
    }

    /// Returns the command that fetches the environment for a client of this name.
    fn fetch(&self, serve: &Daemon, client: &str) -> Command {
        let mut command = self.world.client_of(serve, client);
        command.arg("fetch").arg(&self.spec);
        command
    }

    /// Fetches the environment, which must succeed, and returns where it lies.
    fn fetched(&self, serve: &Daemon, client: &str) -> PathBuf {
        succeed(&mut self.fetch(serve, client)).into()
    }

    /// Returns the exit code of a probe.
    fn probe(&self, serve: &Daemon, client: &str) -> (Option<i32>, String) {
        let output = run(self.fetch(serve, client).arg("--probe"));
        (output.status.code(), text(&output.stderr))
    }

    /// Begins to fetch the environment.
    fn begin(&self, serve: &Daemon, client: &str) -> Child {
        let mut command = self.fetch(serve, client);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is there")
    }

    /// Returns what the environment consists of when it is built without a foreign endpoint.
    fn expected(&self) -> BTreeMap<PathBuf, Node> {
        let embedded = self.world.daemon();
        let expected = tree(&self.fetched(&embedded, "embedded"));
        assert_eq!(expected[Path::new("made/link")], Node::Symlink { target: "deep/er/run".into() });
        assert_eq!(expected[Path::new("made/given/link")], Node::Symlink { target: "sub/file".into() });
        expected
    }
}

/// Returns the content of a blob of an environment that every endpoint keeps as a file.
fn large(directory: &Path) -> Vec<u8> {
    fs::read(directory.join("made/deep/large")).expect("there")
}

/// Runs a command, and returns its exit code, its stderr and how long it took.
fn timed(command: &mut Command) -> (Option<i32>, String, Duration) {
    let started = Instant::now();
    let output = run(command);
    (output.status.code(), text(&output.stderr), started.elapsed())
}

/// Returns the object that a command prints.
fn object(command: &mut Command) -> Value {
    serde_json::from_str(&succeed(command.arg("--json"))).expect("JSON")
}
