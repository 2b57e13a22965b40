//! The registry, with the programs that use registries.

mod access;
mod lost;
mod pull;
mod push;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    Answer, Daemon, Endpoint, Kind, Registry as DockerRegistry, World, contents, files, request, run, succeed, text,
};

/// A daemon that is a registry, and an image that it may build.
struct Registry {
    world: World,
    daemon: Daemon,
}

/// What is known of an image that was answered.
struct Image {
    /// `sha256:HASH` of its manifest.
    digest: String,
    /// The tag that names its key.
    key: String,
}

impl Registry {
    fn new(options: &[&str]) -> Self {
        let world = World::new();
        let daemon = Daemon::start(&world.path("daemon"), options);
        let program = fs::read("/bin/busybox").expect("busybox is installed");
        let busybox = world.write("source/root/bin/busybox", program);
        fs::set_permissions(busybox, fs::Permissions::from_mode(0o755)).expect("temporary");
        for name in ["sh", "cat"] {
            symlink("busybox", world.path(&format!("source/root/bin/{name}"))).expect("temporary");
        }
        world.write("source/root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        world.write("source/files/hello", "hello from the image\n");
        Self { world, daemon }
    }

    fn spec(&self) -> PathBuf {
        let layers = json!([{"from": {"path": "files"}, "at": "/opt"}]);
        let config = json!({"Env": ["PATH=/bin"], "Cmd": ["cat", "/opt/hello"]});
        let image = json!({"type": "image", "base": {"path": "root"}, "layers": layers, "config": config});
        self.world.spec("Web Server", &json!({"Web Server": image}))
    }

    /// Has the daemon answer the environment.
    fn image(&self) -> Image {
        let spec = self.spec();
        let mut command = self.world.client_of(&self.daemon, "client");
        let printed = succeed(command.args(["fetch", "--absent", "--json"]).arg(&spec));
        let printed: Value = serde_json::from_str(&printed).expect("JSON");
        let manifest = printed["descriptor"]["image"]["manifest"].as_str().expect("an image");
        let (digest, _) = manifest.split_once('/').expect("with its size");
        let key = printed["key"].as_str().expect("a key").to_owned();
        let hash = key.trim_start_matches("sha256:").split('/').next().expect("a hash").to_owned();
        Image { digest: digest.to_owned(), key: format!("key-{hash}") }
    }

    /// Returns what a program of containers calls an image here.
    fn docker(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.daemon.address)
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        request(&self.daemon.address, "GET", &format!("/v2/{path}"), headers, b"")
    }

    /// Returns podman with a storage of its own.
    fn podman(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("podman");
        let path = |name: &str| self.world.path(&format!("podman/{name}"));
        command.arg("--root").arg(path("root")).arg("--runroot").arg(path("run")).arg("--tmpdir").arg(path("tmp"));
        command.args(["--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
        command.args(arguments);
        command
    }
}

/// Returns a command that copies an image and may speak plain HTTP at both ends.
fn copy(arguments: &[&str], from: &str, to: &str) -> Command {
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    command.args(arguments).args([from, to]);
    command
}

/// Returns the digest of an image as a program sees it.
fn inspect(name: &str) -> String {
    succeed(Command::new("skopeo").args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}", name]))
}

/// Returns what a program of containers calls an image in another registry.
fn docker_in(registry: &DockerRegistry, name: &str) -> String {
    format!("docker://{}/{name}", registry.address)
}
