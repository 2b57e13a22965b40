//! Roots of every type: what tree they are, where their content comes from, and who fetches it.

mod absent;
mod bad;
mod computed;
mod kinds;
mod like_just;
mod sources;
mod where_from;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Daemon, Web, World, git, succeed};

/// A world with sources in every form, all of the same content, and a web server that has them.
pub(crate) struct Sources {
    pub(crate) world: World,
    pub(crate) web: Web,
    /// What the sources hold, as a directory.
    content: PathBuf,
    /// Its tree id, as Git computes it.
    tree: String,
}

impl Sources {
    pub(crate) fn new() -> Self {
        let world = World::new();
        let content = world.path("content");
        sample(&content);
        let store = format!("--git-dir={}", world.path("git").display());
        git(&content, &[&store, "--work-tree=.", "init", "-q"]);
        git(&content, &[&store, "--work-tree=.", "add", "-A"]);
        let tree = git(&content, &[&store, "--work-tree=.", "write-tree"]);
        git(&content, &[&store, "--work-tree=.", "commit", "-q", "-m", "all"]);
        git(&content, &[&store, "branch", "-M", "main"]);
        fs::create_dir(world.path("web")).expect("temporary");
        let web = Web::of(&world.path("web"));
        world.write("env/ENVS", json!({"all": {"type": "tree", "inputs": {"in": {"root": "data"}}}}).to_string());
        Self { world, web, content, tree }
    }

    /// Runs a shell script where the web server has its files; `$1` is the directory of the content.
    fn make(&self, script: &str) {
        let mut command = Command::new("sh");
        command.args(["-euc", script, "sh"]).arg(&self.content).current_dir(self.world.path("web"));
        succeed(&mut command);
    }

    /// Returns the Git blob id of a file that the web server has.
    fn blob(&self, name: &str) -> String {
        git(&self.world.path("web"), &["hash-object", "--no-filters", name])
    }

    fn address(&self, name: &str) -> String {
        format!("{}/{name}", self.web.address)
    }

    /// Makes an archive of the content and returns the root that it is.
    pub(crate) fn archive(&self, name: &str) -> Value {
        // No two of them are the same file.
        let time: u32 = name.bytes().map(u32::from).sum();
        self.make(&format!("tar -C \"$1\" --mtime=@{time} -caf {name} ."));
        json!({"type": "archive", "content": self.blob(name), "fetch": self.address(name)})
    }

    /// Returns the root that a command makes, which has all of the content in itself.
    fn command(&self) -> Value {
        let mut tar = Command::new("sh");
        let text = succeed(tar.args(["-c", "tar -C \"$1\" -cz . | base64 -w0", "sh"]).arg(&self.content));
        json!({"type": "git tree", "id": self.tree, "cmd": ["sh", "-c", format!("echo {text} | base64 -d | tar -xz")],
            "env": {"PATH": "/usr/bin:/bin"}})
    }

    /// Returns the root that the commit of the content is.
    fn commit(&self) -> Value {
        let commit = git(&self.world.path("git"), &["rev-parse", "main"]);
        json!({"type": "git", "repository": self.world.path("git"), "branch": "main", "commit": commit})
    }

    /// Writes a spec with this root bound to `data`, and further repositories.
    fn spec_with(&self, name: &str, data: &Value, more: &Value) -> PathBuf {
        let main = json!({"type": "file", "path": "env", "pragma": {"to_git": true}});
        let mut spec = json!({"environment": ["main", "", "all"], "repositories": {
            "main": {"repository": main, "bindings": {"data": "data"}},
            "data": {"repository": data},
        }});
        for (name, root) in more.as_object().into_iter().flatten() {
            spec["repositories"][name] = json!({"repository": root});
        }
        self.world.write(name, spec.to_string())
    }

    pub(crate) fn spec(&self, data: &Value) -> PathBuf {
        self.spec_with("spec.json", data, &Value::Null)
    }

    pub(crate) fn client(&self, daemon: &Daemon, root: &str, arguments: &[&str]) -> Command {
        let mut command = self.world.client_of(daemon, root);
        command.args(arguments);
        command
    }
}

/// Returns a root that is absent.
pub(crate) fn absent(mut root: Value) -> Value {
    root["pragma"]["absent"] = json!(true);
    root
}

/// Returns the tree id of the root `data`, as the command resolves it.
fn resolved(command: &mut Command, spec: &Path) -> String {
    let resolved: Value = serde_json::from_str(&succeed(command.arg("resolve").arg(spec))).expect("JSON");
    resolved["repositories"]["data"]["root"][1].as_str().expect("an id").to_owned()
}

/// Makes a directory with all that a Git tree can hold and an environment may.
fn sample(directory: &Path) {
    fs::create_dir_all(directory.join("a/deep")).expect("temporary");
    for (name, content) in [("a/deep/file", "one\n"), ("a/run", "#!/bin/sh\n"), ("b", ""), ("a.c", "two")] {
        fs::write(directory.join(name), content).expect("temporary");
    }
    fs::set_permissions(directory.join("a/run"), fs::Permissions::from_mode(0o755)).expect("temporary");
    symlink("deep/file", directory.join("a/down")).expect("temporary");
    symlink("../../b", directory.join("a/deep/up")).expect("temporary");
}
