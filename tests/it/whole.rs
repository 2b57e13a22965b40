//! An answer is whole or it is not given.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::{World, contents, files, succeed};

#[test]
fn whichever_blob_is_lost_the_next_answer_is_whole_again() {
    let world = World::new();
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
    let spec = world.spec("all", &environments);
    let mut daemon = world.daemon();
    let fetch =
        |daemon: &_, root: &str| contents(Path::new(&succeed(world.client_of(daemon, root).arg("fetch").arg(&spec))));
    let whole = fetch(&daemon, "first");
    assert_eq!(whole.len(), 3);
    let blobs = files(&daemon.root.join("blobs"));
    assert!(blobs.len() > 8, "{blobs:?}");
    for (number, blob) in blobs.iter().enumerate() {
        fs::remove_file(blob).unwrap_or_else(|error| panic!("{}: {error}", blob.display()));
        assert_eq!(fetch(&daemon, &format!("lost-{number}")), whole, "without {}", blob.display());
        if number % 5 == 0 {
            daemon = daemon.kill_and_restart();
        }
    }
    for (number, blob) in files(&daemon.root.join("blobs")).iter().enumerate() {
        let bytes = fs::read(blob).expect("there");
        if bytes.is_empty() {
            continue;
        }
        fs::remove_file(blob).expect("there");
        let flipped: Vec<u8> =
            bytes.iter().enumerate().map(|(at, byte)| if at == 0 { byte ^ 1 } else { *byte }).collect();
        fs::write(blob, flipped).expect("writable");
        assert_eq!(fetch(&daemon, &format!("flipped-{number}")), whole, "with a flipped bit in {}", blob.display());
    }
}
