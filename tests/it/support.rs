//! What the tests share: a world of temporary directories, daemons in it, and the command.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use envserve::transport::{Link, Security};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory for one test: sources, client roots, daemons.
pub(crate) struct World {
    directory: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("temporary") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file below the world.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the world")).expect("temporary");
        fs::write(&path, text).expect("temporary");
        path
    }

    /// Writes a spec for environment `name` of the directory `source`, whose environments are these.
    pub(crate) fn spec(&self, name: &str, environments: &Value) -> PathBuf {
        self.write("source/ENVS", environments.to_string());
        self.write("spec.json", spec(name).to_string())
    }

    /// Starts a daemon with a root of its own.
    pub(crate) fn daemon(&self) -> Daemon {
        Daemon::start(&self.path("daemon"), &[])
    }

    /// Returns the command with a client root of this name and no configured server.
    pub(crate) fn client(&self, root: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_envserve"));
        command.env("ENVSERVE_ROOT", self.path(root)).env_remove("ENVSERVE_SERVE").env("ENVSERVE_IDLE_SECONDS", "2");
        command.stdin(Stdio::null());
        command
    }

    /// Returns the command as a client of a daemon.
    pub(crate) fn client_of(&self, daemon: &Daemon, root: &str) -> Command {
        let mut command = self.client(root);
        command.env("ENVSERVE_SERVE", &daemon.address);
        command
    }
}

/// A spec for an environment of the directory `source` beside it.
pub(crate) fn spec(name: &str) -> Value {
    let root = json!({"type": "file", "path": "source", "pragma": {"to_git": true}});
    json!({"environment": ["main", "", name], "repositories": {"main": {"repository": root}}})
}

/// An environment of kind `tree` that runs a shell script and has these outputs.
pub(crate) fn script(script: &str, outs: &[&str]) -> Value {
    json!({"type": "tree", "cmd": ["/bin/sh", "-c", script], "outs": outs, "env": {"PATH": "/usr/bin:/bin"}})
}

/// A running `envserve serve`, killed when dropped.
pub(crate) struct Daemon {
    pub(crate) address: String,
    pub(crate) root: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Daemon {
    pub(crate) fn start(root: &Path, options: &[&str]) -> Self {
        Self::start_as("serve", root, options)
    }

    /// Returns a connection to it.
    pub(crate) fn link(&self) -> Link {
        Link::new(&self.address.parse().expect("an address"), &Security::default()).expect("an address")
    }

    /// Starts another verb that is a daemon.
    pub(crate) fn start_as(verb: &str, root: &Path, options: &[&str]) -> Self {
        Self::start_by(Command::new("env"), verb, root, options)
    }

    /// Starts a daemon by a command that runs what is given to it as arguments.
    pub(crate) fn start_by(mut command: Command, verb: &str, root: &Path, options: &[&str]) -> Self {
        fs::create_dir_all(root).expect("temporary");
        let log = root.with_extension("log");
        let stderr = fs::File::options().create(true).append(true).open(&log).expect("temporary");
        let mut child = command
            .arg(env!("CARGO_BIN_EXE_envserve"))
            .args([verb, "--listen", "127.0.0.1:0", "--root"])
            .arg(root)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the binary is there");
        let mut address = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut address).expect("readable");
        let address = address.trim().to_owned();
        assert!(!address.is_empty(), "the daemon did not start:\n{}", fs::read_to_string(&log).expect("there"));
        Self { address, root: root.to_owned(), log, child }
    }

    /// Returns what the daemon has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("there")
    }

    /// Returns how many environments the daemon has built.
    pub(crate) fn builds(&self) -> usize {
        self.log().lines().filter(|line| line.contains(" built ")).count()
    }

    /// Kills the daemon at once and starts it again on the same root.
    pub(crate) fn kill_and_restart(mut self) -> Self {
        self.child.kill().expect("running");
        self.child.wait().expect("running");
        let root = self.root.clone();
        drop(self);
        Self::start(&root, &[])
    }

    /// Asks the daemon to stop and returns its exit status.
    pub(crate) fn terminate(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().expect("kill runs").success());
        self.child.wait().expect("running")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a command and returns what came of it.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().expect("the program is there")
}

/// Runs a command that must succeed and returns the last line of its stdout.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

/// Runs a command that must end with this code and returns its stderr.
pub(crate) fn fail(command: &mut Command, code: i32) -> String {
    let output = run(command);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{}{stderr}", text(&output.stdout));
    assert!(output.stdout.is_empty(), "an error leaves stdout empty: {}", text(&output.stdout));
    stderr
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `git` in a directory and returns its output.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(arguments);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "n").env(format!("GIT_{role}_EMAIL"), "e");
    }
    succeed(&mut command)
}

/// Returns every file below a directory with its mode and content, or a link's target.
pub(crate) fn contents(directory: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(&at).expect("readable") {
            let path = entry.expect("readable").path();
            let metadata = fs::symlink_metadata(&path).expect("there");
            let name = path.strip_prefix(directory).expect("below").display().to_string();
            if metadata.is_dir() {
                pending.push(path);
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes();
                found.push((name, 0, target));
            } else {
                found.push((name, metadata.permissions().mode() & 0o777, fs::read(&path).expect("readable")));
            }
        }
    }
    found.sort();
    found
}

/// Returns the files below a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    contents(directory).into_iter().map(|(name, ..)| directory.join(name)).collect()
}

/// Returns the first indented block after a line which begins so.
pub(crate) fn block(text: &str, before: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with(before)).skip(1);
    let lines = lines.skip_while(|line| !line.starts_with("    ")).take_while(|line| line.starts_with("    "));
    let block: Vec<&str> = lines.map(|line| &line[4..]).collect();
    assert!(!block.is_empty(), "no block after `{before}`");
    block.join("\n")
}
