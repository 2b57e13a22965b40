//! Images handed to programs that keep images.

use std::process::Command;

use super::Case;
use crate::support::{fail, succeed};

#[test]
fn podman_runs_what_it_was_given() {
    let case = Case::new();
    let graph = case.world.path("podman");
    let (storage, runtime) = (graph.join("storage"), graph.join("runtime"));
    let text = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
        storage.display(),
        runtime.display()
    );
    let configuration = case.world.write("storage.conf", text);
    let reference =
        succeed(case.command("fetch").args(["--load", "podman"]).env("CONTAINERS_STORAGE_CONF", &configuration));
    assert!(reference.starts_with("localhost/image:key-"), "{reference}");
    let mut podman = Command::new("podman");
    podman.env("CONTAINERS_STORAGE_CONF", &configuration);
    podman.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs", "run", "--rm", "--network", "none"]);
    podman.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]).arg(&reference);
    assert_eq!(succeed(&mut podman), "yes");
    let json = case.fetched(&["--view", "docker-archive"]);
    assert_eq!(json["present"], true, "the archive stays");
}

#[test]
fn a_program_that_is_not_there_or_fails_is_told() {
    let case = Case::new();
    let error = fail(case.command("fetch").args(["--load", "containerd"]).env("PATH", "/nowhere"), 15);
    assert!(error.contains("`ctr` is not installed") && error.contains("package `containerd`"), "{error}");
    let nobody = ["--load", "podman"];
    let error = fail(case.command("fetch").args(nobody).env("CONTAINERS_STORAGE_CONF", "/nowhere/storage.conf"), 1);
    assert!(error.contains("`podman` does not take the image"), "{error}");
}
