//! The private daemon: exactly one, started by a client, gone when nobody needs it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use crate::support::{World, processes, script, succeed, text};

/// Returns the daemons whose command line names this root.
fn daemons(root: &Path) -> Vec<String> {
    let root = root.display().to_string();
    processes(|line| line.contains(" serve ") && line.contains(&root))
}

#[test]
fn racing_clients_start_exactly_one_which_leaves_when_idle() {
    let world = World::new();
    let spec = world.spec("one", &json!({"one": script("sleep 1; cat /proc/sys/kernel/random/uuid >out", &["out"])}));
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut command = world.client("client");
            command.arg("fetch").arg(&spec).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("the binary is there")
        })
        .collect();
    let mut most = 0;
    while most == 0 {
        most = daemons(&world.path("client")).len();
    }
    let mut results = std::collections::BTreeSet::new();
    for client in clients {
        most = most.max(daemons(&world.path("client")).len());
        let output = client.wait_with_output().expect("it ran");
        assert!(output.status.success(), "{}", text(&output.stderr));
        results.insert(output.stdout);
    }
    assert_eq!((results.len(), most), (1, 1));
    let log = fs::read_to_string(world.path("client/private/log")).expect("there");
    assert_eq!(log.matches("listening").count(), 1, "{log}");
    while !daemons(&world.path("client")).is_empty() {
        std::thread::yield_now();
    }
    assert!(!world.path("client/private/socket").exists());
}

#[test]
fn nothing_is_stored_twice_with_a_private_daemon() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    let spec = world.spec("one", &json!({"one": script("head -c 3000000 /dev/zero >out", &["out"])}));
    let directory = succeed(world.client("client").arg("fetch").arg(&spec));
    let file = fs::metadata(Path::new(&directory).join("out")).expect("there");
    assert_eq!(file.nlink(), 2, "the environment and the one blob store");
    let blobs = crate::support::files(&world.path("client/blobs"));
    let large = blobs.iter().filter(|path| fs::metadata(path).expect("there").len() == 3_000_000).count();
    assert_eq!(large, 1);
}

#[test]
fn a_client_root_with_a_very_long_path_works() {
    let world = World::new();
    let spec = world.spec("one", &json!({"one": script("echo x >out", &["out"])}));
    let root = format!("{}/{}", "d".repeat(100), "e".repeat(100));
    succeed(world.client(&root).arg("fetch").arg(&spec));
}

#[test]
fn the_daemon_leaves_when_its_directory_is_removed() {
    let world = World::new();
    let spec = world.spec("one", &json!({"one": script("echo x >out", &["out"])}));
    succeed(world.client("client").arg("fetch").arg(&spec));
    assert_eq!(daemons(&world.path("client")).len(), 1);
    fs::rename(world.path("client"), world.path("moved")).expect("movable");
    while !daemons(&world.path("client")).is_empty() {
        std::thread::yield_now();
    }
    assert!(!world.path("client").exists(), "it makes no directory anew");
}
