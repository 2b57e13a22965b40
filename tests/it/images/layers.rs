//! Layers from trees, the configuration, and what does not change.

use serde_json::{Value, json};

use super::Image;
use crate::support::{Daemon, World, contents, fail};

/// Puts a root file system with busybox into `source/root`.
pub(super) fn busybox(world: &World) {
    world.busybox(&["sh"]);
    world.write("source/root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
}

/// An image of busybox with two trees over it.
fn environments() -> Value {
    json!({"image": {
        "type": "image",
        "base": {"path": "root"},
        "layers": [
            {"from": {"path": "one"}, "at": "/opt/one"},
            {"from": {"path": "two"}, "at": "/etc"},
            {"from": {"path": "motd"}, "at": "/etc/motd"},
        ],
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], "ExposedPorts": {"80/tcp": {}}, "x-note": "no matter"},
    }})
}

fn world() -> World {
    let world = World::new();
    busybox(&world);
    world.write("source/one/file", "one");
    world.write("source/two/two.conf", "two");
    world.write("source/motd", "hello");
    world
}

#[test]
fn a_tree_is_a_base_and_trees_lie_over_it_as_umoci_unpacks_it() {
    let world = world();
    let daemon = world.daemon();
    let image = Image::of(&world, &daemon, &world.spec("image", &environments()));
    assert_eq!(image.layers.len(), 4);
    let unpacked = image.unpacked(&world, &daemon, "bundle");
    let mut expected = contents(&world.path("source/root"));
    expected.push(("opt/one/file".into(), 0o644, b"one".to_vec()));
    expected.push(("etc/two.conf".into(), 0o644, b"two".to_vec()));
    expected.push(("etc/motd".into(), 0o644, b"hello".to_vec()));
    expected.sort();
    assert_eq!(contents(&unpacked), expected);
    let config = image.configuration(&daemon);
    assert_eq!((&*config.platform.os, &*config.platform.architecture), ("linux", "amd64"));
    assert_eq!(config.created.as_deref(), Some("1970-01-01T00:00:00Z"));
    assert_eq!((config.execution.env, config.execution.cmd), (vec!["PATH=/bin".into()], vec!["sh".into()]));
    assert_eq!((config.history.len(), config.diff_ids.len()), (4, 4));
}

#[test]
fn every_machine_and_digest_function_gives_the_same_image() {
    let world = world();
    let spec = world.spec("image", &environments());
    let first = Image::of(&world, &Daemon::start(&world.path("one"), &["--digest-function", "sha256"]), &spec);
    let second = Image::of(&world, &Daemon::start(&world.path("two"), &["--digest-function", "blake3"]), &spec);
    assert_eq!((first.manifest, first.config, &first.layers), (second.manifest, second.config, &second.layers));
    assert_ne!(first.root.function(), second.root.function());
}

#[test]
fn a_changed_source_remakes_one_layer() {
    let world = world();
    let daemon = world.daemon();
    let spec = world.spec("image", &environments());
    let before = Image::of(&world, &daemon, &spec);
    world.write("source/one/file", "another");
    let after = Image::of(&world, &daemon, &spec);
    let changed: Vec<bool> = before.layers.iter().zip(&after.layers).map(|(one, other)| one != other).collect();
    assert_eq!(changed, [false, true, false, false]);
    assert_ne!(before.manifest, after.manifest);
}

#[test]
fn an_empty_image_is_an_image() {
    let world = World::new();
    let daemon = world.daemon();
    let spec = world.spec("image", &json!({"image": {"type": "image", "config": {"architecture": "arm64"}}}));
    let image = Image::of(&world, &daemon, &spec);
    assert!(image.layers.is_empty());
    assert_eq!(image.configuration(&daemon).platform.architecture, "arm64");
}

#[test]
fn what_cannot_lie_where_it_should_is_told_with_its_place() {
    let world = world();
    world.write("source/bin/tool", "#!");
    let daemon = world.daemon();
    std::os::unix::fs::symlink("etc", world.path("source/root/config")).expect("temporary");
    let cases = [
        (json!([{"from": {"path": "motd"}}]), "layers[0]: a file needs a path"),
        (
            json!([{"from": {"path": "one"}, "at": "/bin/sh"}]),
            "layers[0]: `bin/sh` is a directory, but a symlink to `busybox`",
        ),
        (
            json!([{"from": {"path": "one"}, "at": "/config/x"}]),
            "layers[0]: `config` is a directory, but a symlink to `etc`",
        ),
        (json!([{"from": {"path": "motd"}, "at": "/etc"}]), "layers[0]: `etc` is a file, but a directory"),
    ];
    for (layers, expected) in cases {
        let environments = json!({"image": {"type": "image", "base": {"path": "root"}, "layers": layers}});
        let error = fail(world.client_of(&daemon, "client").arg("fetch").arg(world.spec("image", &environments)), 16);
        assert!(error.contains(expected), "{error}");
    }
    let missing = json!([{"from": {"path": "three"}}]);
    let environments = json!({"image": {"type": "image", "base": {"path": "root"}, "layers": missing}});
    let error = fail(world.client_of(&daemon, "client").arg("fetch").arg(world.spec("image", &environments)), 1);
    assert!(error.contains("input `layers[0]`: there is no `three`"), "{error}");
}

#[test]
fn ten_thousand_layers_are_refused_at_once() {
    let world = world();
    let daemon = world.daemon();
    let layers: Vec<Value> =
        (0..10_000).map(|number| json!({"from": {"path": "motd"}, "at": format!("/{number}")})).collect();
    let spec = world.spec("image", &json!({"image": {"type": "image", "layers": layers}}));
    let error = fail(world.client_of(&daemon, "client").arg("fetch").arg(spec), 16);
    assert!(error.contains("10000 layers; container engines take at most 127"), "{error}");
}

#[test]
fn settings_that_no_program_can_start_with_are_refused_with_their_place() {
    let world = world();
    let daemon = world.daemon();
    let cases = [
        (json!({"EntryPoint": ["x"]}), 1, "ENVS: image.config: unknown key `EntryPoint`; did you mean `Entrypoint`?"),
        (json!({"Env": {"A": "b"}}), 1, "ENVS: image.config.Env: a list is expected"),
        (json!({"ExposedPorts": {"http": {}}}), 16, "`config.ExposedPorts` of an image configuration cannot be `http`"),
        (json!({"StopSignal": "not a signal"}), 16, "`config.StopSignal`"),
    ];
    for (config, code, expected) in cases {
        let spec = world.spec("image", &json!({"image": {"type": "image", "config": config}}));
        let error = fail(world.client_of(&daemon, "client").arg("fetch").arg(spec), code);
        assert!(error.contains(expected), "{error}");
    }
}
