//! The registry that others wrote, as a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::guard::{Guarded, until};
use super::{World, succeed};

/// The user whom a guarded registry knows, and the user's password.
pub(crate) const USER: &str = "user:secret";
/// The same as `htpasswd` writes it.
const HTPASSWD: &str = "user:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

/// A running `docker-registry`, killed when dropped.
pub(crate) struct Registry {
    /// Its host and port.
    pub(crate) address: String,
    log: PathBuf,
    _running: Guarded,
}

impl Registry {
    /// Starts one that gives to everybody.
    pub(crate) fn open(world: &World) -> Self {
        Self::start(world, "registry", "")
    }

    /// Starts one that gives to its user only.
    pub(crate) fn guarded(world: &World) -> Self {
        let users = world.write("users", HTPASSWD);
        let auth = format!("auth: {{htpasswd: {{realm: tests, path: {}}}}}\n", users.display());
        Self::start(world, "guarded-registry", &auth)
    }

    fn start(world: &World, name: &str, more: &str) -> Self {
        let directory = world.path(name);
        fs::create_dir_all(&directory).expect("temporary");
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n{more}",
            directory.join("data").display()
        );
        let (config, log) = (world.write(&format!("{name}/config.yml"), config), directory.join("log"));
        let mut command = Command::new("docker-registry");
        let mut running = Guarded::start(command.arg("serve").arg(config), &directory, &log);
        let address = until("docker-registry listens", || {
            let log = fs::read_to_string(&log).expect("there");
            assert!(running.runs(), "docker-registry ended:\n{log}");
            let (_, after) = log.split_once("listening on ")?;
            Some(after.split_once('"')?.0.to_owned())
        });
        Self { address, log, _running: running }
    }

    /// Returns the paths that envserve has asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).expect("there");
        let lines = log.lines().filter(|line| line.contains("\"envserve/") && line.contains("\"GET /"));
        lines.filter_map(|line| Some(line.split_once("\"GET ")?.1.split(' ').next()?.to_owned())).collect()
    }

    /// Pushes an image (`oci:DIR:TAG`, say) and returns the digest that it has there.
    pub(crate) fn push(&self, image: &str, name: &str) -> String {
        let target = format!("docker://{}/{name}", self.address);
        succeed(skopeo("copy").args(["--dest-tls-verify=false", "--dest-creds", USER, image, &target]));
        let mut inspect = skopeo("inspect");
        inspect.args(["--tls-verify=false", "--creds", USER, "--format", "{{.Digest}}", &target]);
        succeed(&mut inspect)
    }
}

fn skopeo(verb: &str) -> Command {
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy", verb]);
    command
}

/// Makes an OCI layout with one image of a single layer, a root file system with busybox, and returns its name for skopeo.
pub(crate) fn busybox_layout(world: &World) -> String {
    let (layout, bundle) = (world.path("layout"), world.path("bundle"));
    let image = format!("{}:base", layout.display());
    let umoci = |arguments: &[&str]| succeed(Command::new("umoci").args(arguments));
    umoci(&["init", "--layout", &layout.display().to_string()]);
    umoci(&["new", "--image", &image]);
    umoci(&["unpack", "--rootless", "--image", &image, &bundle.display().to_string()]);
    let programs = bundle.join("rootfs/bin");
    fs::create_dir(&programs).expect("temporary");
    fs::copy(busybox(), programs.join("busybox")).expect("copied");
    std::os::unix::fs::symlink("busybox", programs.join("sh")).expect("temporary");
    umoci(&["repack", "--image", &image, &bundle.display().to_string()]);
    umoci(&["config", "--image", &image, "--config.env", "FROM=base", "--architecture", "amd64"]);
    format!("oci:{image}")
}

fn busybox() -> PathBuf {
    let found = ["/bin/busybox", "/usr/bin/busybox"].into_iter().map(Path::new).find(|path| path.exists());
    found.expect("`busybox` is not installed: run `.ci/setup test`").to_owned()
}
