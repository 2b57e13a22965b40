//! What the tests share: a world of temporary directories, daemons in it, and the command.

mod daemon;
mod endpoint;
mod files;
mod guard;
mod http;
mod proxy;
mod registry;
mod web;

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use daemon::Daemon;
pub(crate) use endpoint::{Endpoint, Kind, program};
pub(crate) use files::{Node, contents, files, tree};
pub(crate) use guard::{processes, until};
pub(crate) use http::{Answer, request};
pub(crate) use proxy::{Fault, Proxy};
pub(crate) use registry::{Registry, busybox_layout};
pub(crate) use web::Web;

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

    /// Puts busybox into `source/root/bin`, the root file system of an image, under these names too.
    pub(crate) fn busybox(&self, applets: &[&str]) {
        let program = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        let program = fs::read(program.expect("busybox is installed")).expect("readable");
        let path = self.write("source/root/bin/busybox", program);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("temporary");
        for applet in applets {
            symlink("busybox", self.path("source/root/bin").join(applet)).expect("temporary");
        }
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

/// Runs a command that prints a JSON object.
pub(crate) fn object(command: &mut Command) -> Value {
    serde_json::from_str(&succeed(command)).expect("JSON")
}

/// Plans a fetch, does it, and checks that both say the same of every byte. Returns the plan.
pub(crate) fn plan_and_fetch(command: impl Fn(&str) -> Command, arguments: &[&str]) -> Value {
    let [plan, fetched] = ["plan", "fetch"].map(|verb| object(command(verb).arg("--json").args(arguments)));
    let (state, bytes) = (&plan["state"], &fetched["downloaded_bytes"]);
    assert_eq!(fetched["present"], json!(state == "here"), "{plan}\n{fetched}");
    if state == "build" {
        assert_eq!(plan["fetch_bytes"], Value::Null, "only the build tells: {plan}");
    } else {
        assert_eq!(plan["fetch_bytes"], *bytes, "{plan}\n{fetched}");
    }
    plan
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

/// Returns the first indented block after a line which begins so.
pub(crate) fn block(text: &str, before: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with(before)).skip(1);
    let lines = lines.skip_while(|line| !line.starts_with("    ")).take_while(|line| line.starts_with("    "));
    let block: Vec<&str> = lines.map(|line| &line[4..]).collect();
    assert!(!block.is_empty(), "no block after `{before}`");
    block.join("\n")
}

/// Returns where programs are looked for, those first that `.ci/setup` has unpacked.
pub(crate) fn path() -> Vec<PathBuf> {
    vec![peers("clients"), peers("criu"), "/usr/bin".into(), "/bin".into()]
}

/// Returns the CRIU that `.ci/setup` has unpacked.
pub(crate) fn criu() -> PathBuf {
    peers("criu").join("criu")
}

/// Returns the validator of JSON schemas that `.ci/setup` has unpacked.
pub(crate) fn json_validator() -> PathBuf {
    peers("check-jsonschema").join("check-jsonschema")
}

/// Returns where the programs of a set are.
fn peers(name: &str) -> PathBuf {
    let set = |name| env::var_os(name).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").expect("set").join(".cache"));
    let build = set("ENVSERVE_BUILD_DIR").unwrap_or_else(|| cache().join("envserve-build"));
    build.join("peers").join(name).join("bin")
}
