//! An answer is whole or it is not given.

use std::fs;
use std::path::{Path, PathBuf};

use envserve::serve::open_store;
use envserve::store::StoreOptions;
use serde_json::json;

use crate::support::{Daemon, World, contents, files, succeed};

/// An environment that uses another, with inputs and outputs of every kind.
fn spec(world: &World) -> PathBuf {
    world.write("source/given", "given");
    let environments = json!({
        "made": {
            "type": "tree",
            "cmd": ["/bin/sh", "-c", "mkdir -p out/sub && echo one >out/sub/file && echo two >out/other && chmod +x out/other"],
            "outs": ["out"],
            "env": {"PATH": "/usr/bin:/bin"},
        },
        "all": {"type": "tree", "inputs": {"a": {"env": "made", "path": "out"}, "given": {"path": "given"}}},
    });
    world.spec("all", &environments)
}

fn fetch(world: &World, daemon: &Daemon, spec: &Path, root: &str) -> Vec<(String, u32, Vec<u8>)> {
    contents(Path::new(&succeed(world.client_of(daemon, root).arg("fetch").arg(spec))))
}

#[test]
fn whichever_blob_is_lost_the_next_answer_is_whole_again() {
    let world = World::new();
    let spec = spec(&world);
    let mut daemon = world.daemon();
    let whole = fetch(&world, &daemon, &spec, "first");
    assert_eq!(whole.len(), 3);
    let root = daemon.root.clone();
    let mut blobs = Vec::new();
    let mut number = 0;
    loop {
        assert!(daemon.terminate().success());
        let store = open_store(&root, StoreOptions::default()).expect("the daemon is gone");
        if number == 0 {
            store.list(|digest| blobs.push(digest)).expect("readable");
            assert!(blobs.len() > 8, "{blobs:?}");
        }
        let Some(lost) = blobs.get(number) else { break };
        store.remove(lost).expect("removed");
        drop(store);
        daemon = Daemon::start(&root, &[]);
        assert_eq!(fetch(&world, &daemon, &spec, &format!("lost-{number}")), whole, "without {lost:?}");
        number += 1;
    }
}

#[test]
fn whichever_file_is_lost_or_damaged_under_a_running_daemon_the_next_answer_is_whole_again() {
    let world = World::new();
    let spec = spec(&world);
    // A private daemon keeps its blobs as files.
    let daemon = Daemon::start(&world.path("daemon"), &["--idle-seconds", "600"]);
    let whole = fetch(&world, &daemon, &spec, "first");
    let blobs = files(&daemon.root.join("blobs"));
    assert!(blobs.len() > 8, "{blobs:?}");
    for (number, blob) in blobs.iter().enumerate() {
        fs::remove_file(blob).unwrap_or_else(|error| panic!("{}: {error}", blob.display()));
        let again = fetch(&world, &daemon, &spec, &format!("lost-{number}"));
        assert_eq!(again, whole, "without {}", blob.display());
    }
    for (number, blob) in files(&daemon.root.join("blobs")).iter().enumerate() {
        let mut bytes = fs::read(blob).expect("there");
        let Some(first) = bytes.first_mut() else { continue };
        *first ^= 1;
        fs::remove_file(blob).expect("there");
        fs::write(blob, bytes).expect("writable");
        let again = fetch(&world, &daemon, &spec, &format!("flipped-{number}"));
        assert_eq!(again, whole, "with a flipped bit in {}", blob.display());
    }
}
