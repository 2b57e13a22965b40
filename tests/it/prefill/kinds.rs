//! Environments of every kind are filled.

use serde_json::json;

use super::{expected, outcomes};
use crate::support::{World, object};

#[test]
fn trees_and_images_are_filled_and_whoever_may_not_have_a_checkpoint_is_told() {
    let world = World::new();
    world.busybox(&["sh"]);
    let environments = json!({
        "files": {"type": "tree", "inputs": {"root": {"path": "root"}}},
        "image": {"type": "image", "base": {"path": "root"}, "config": {"Cmd": ["sh"]}},
        "warm": {"type": "checkpoint", "image": {"env": "image"}, "ready": {"http": {"port": 80}}},
    });
    let spec = world.spec("image", &environments);
    let daemon = world.daemon();
    let fill = |all: &[&str]| {
        let mut command = world.client_of(&daemon, "ci");
        command
            .arg("prefill")
            .arg(&spec)
            .args(["--json", "-e", "main", "", "image", "-e", "main", "", "files"])
            .args(all);
        object(&mut command)
    };
    assert_eq!(outcomes(&fill(&[])), expected(&[("image", "built"), ("files", "built")]));
    let second = fill(&["-e", "main", "", "warm"]);
    assert_eq!(outcomes(&second), expected(&[("image", "hit"), ("files", "hit"), ("warm", "failed")]), "{second}");
    assert_eq!(second["items"][2]["error"]["class"], "denied", "{second}");
    // What was filled is what is fetched.
    let fetched = object(world.client_of(&daemon, "client").args(["fetch", "--absent", "--json"]).arg(&spec));
    assert_eq!(fetched["descriptor"]["root"], second["items"][0]["root"]);
}
