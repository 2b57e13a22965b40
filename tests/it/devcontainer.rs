//! The example for development containers: what its tools would do, done with podman.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Daemon, World, succeed};

#[test]
fn the_image_of_a_development_container_is_an_environment() {
    let world = World::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/devcontainer");
    succeed(Command::new("cp").arg("-r").arg(example).arg(world.path("example")));
    let daemon = Daemon::start(&world.path("daemon"), &["--sandbox", "none"]);
    let storage = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
        world.path("podman/storage").display(),
        world.path("podman/runtime").display()
    );
    let storage = world.write("storage.conf", storage);
    let file = fs::read(world.path("example/.devcontainer/devcontainer.json")).expect("there");
    let container: Value = serde_json::from_slice(&file).expect("JSON");
    let said = |key: &str| container[key].as_str().expect("a text").to_owned();

    let program = Path::new(env!("CARGO_BIN_EXE_envserve")).parent().expect("a file");
    let mut initialize = Command::new("sh");
    initialize.arg("-c").arg(said("initializeCommand")).current_dir(world.path("example"));
    initialize.env("PATH", format!("{}:/usr/bin:/bin", program.display())).env("CONTAINERS_STORAGE_CONF", &storage);
    initialize.env("ENVSERVE_SERVE", &daemon.address).env("ENVSERVE_ROOT", world.path("client"));
    succeed(&mut initialize);

    let mut podman = Command::new("podman");
    podman.env("CONTAINERS_STORAGE_CONF", &storage);
    podman.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs", "run", "--rm", "--network", "none"]);
    podman.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--user"]).arg(said("remoteUser"));
    podman.arg(said("image")).args(["sh", "-c", "echo $OF_IMAGE $(id -u)"]);
    assert_eq!(succeed(&mut podman), "yes 0");
}
