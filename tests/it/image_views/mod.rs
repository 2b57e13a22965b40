//! Images as a client has them: fetched in each form, handed to other programs, run.

mod fetch;
mod load;
mod plan;
mod run;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Daemon, World, succeed};

/// An ordinary user.
const USER: u32 = 65_534;
/// What busybox is in the image.
const APPLETS: [&str; 15] = [
    "cat", "dd", "echo", "grep", "hostname", "id", "kill", "ls", "mount", "pwd", "sh", "sleep", "stat", "touch", "tty",
];

/// A client of a daemon that has an image of busybox.
struct Case {
    world: World,
    daemon: Daemon,
    spec: PathBuf,
}

impl Case {
    fn new() -> Self {
        Self::with(&json!({"Env": ["PATH=/bin", "OF_IMAGE=yes"], "Cmd": ["sh", "-c", "echo $OF_IMAGE"]}))
    }

    /// Makes one whose configuration says more.
    fn with(config: &Value) -> Self {
        let world = World::new();
        world.busybox(&APPLETS);
        world.write("source/root/etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:7:8::/:/bin/sh\n");
        world.write("source/root/etc/group", "root:x:0:\napp:x:8:\nmore:x:9:app\n");
        world.write("source/data/large", noise(5 << 20));
        world.write("source/data/small", "before");
        let daemon = world.daemon();
        let spec = world.spec("image", &environments(config));
        Self { world, daemon, spec }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = self.world.client_of(&self.daemon, "client");
        command.arg(verb).arg(&self.spec);
        command
    }

    /// Returns `envserve run` of these words.
    fn run(&self, words: &[&str]) -> Command {
        let mut command = self.command("run");
        command.arg("--").args(words);
        command
    }

    /// Returns what `fetch --json` says.
    fn fetched(&self, arguments: &[&str]) -> Value {
        let printed = succeed(self.command("fetch").arg("--json").args(arguments));
        serde_json::from_str(&printed).expect("JSON")
    }

    /// Returns the command as one of an ordinary user, with a root of that user.
    fn as_user(&self, verb: &str) -> Command {
        let (program, root) = (self.world.path("user/envserve"), self.world.path("user/root"));
        if !root.exists() {
            let top = program.parent().and_then(std::path::Path::parent).expect("below the world");
            fs::set_permissions(top, fs::Permissions::from_mode(0o755)).expect("temporary");
            fs::create_dir_all(&root).expect("temporary");
            std::os::unix::fs::chown(&root, Some(USER), Some(USER)).expect("root");
            fs::copy(env!("CARGO_BIN_EXE_envserve"), &program).expect("temporary");
        }
        let mut command = Command::new("setpriv");
        let user = USER.to_string();
        command
            .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"])
            .arg(program)
            .arg(verb)
            .arg(&self.spec);
        command.env("HOME", &root).env("ENVSERVE_ROOT", root).env("ENVSERVE_SERVE", &self.daemon.address);
        command.stdin(std::process::Stdio::null());
        command
    }
}

fn environments(config: &Value) -> Value {
    json!({
        "image": {
            "type": "image",
            "base": {"path": "root"},
            "layers": [{"from": {"path": "data"}, "at": "/data"}],
            "config": config,
        },
        "tree": {"type": "tree", "inputs": {"": {"path": "data"}}},
    })
}

/// Returns bytes that nothing makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}
