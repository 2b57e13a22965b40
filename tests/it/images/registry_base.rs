//! Bases that a registry has, which others wrote.

use serde_json::{Value, json};

use crate::support::{Daemon, Registry, World, busybox_layout, fail, run, succeed, text};

/// Writes a spec for an image on this base, with a file laid over it.
fn spec(world: &World, reference: &str) -> std::path::PathBuf {
    world.write("source/files/hello", "hello\n");
    let layer = json!({"from": {"path": "files"}, "at": "/opt"});
    let image = json!({"type": "image", "base": {"image": reference}, "layers": [layer]});
    world.spec("app", &json!({"app": image}))
}

/// Starts a daemon that may pull from a registry.
fn daemon(world: &World, registry: &Registry) -> Daemon {
    Daemon::start(&world.path("daemon"), &["--fetch", &format!("http://{}/", registry.address)])
}

/// Fetches the image of a spec and returns its root file system.
fn fetch(world: &World, daemon: &Daemon, spec: &std::path::Path) -> std::path::PathBuf {
    succeed(world.client_of(daemon, "client").arg("fetch").arg(spec)).into()
}

#[test]
fn layers_of_a_base_are_pulled_once() {
    let world = World::new();
    let registry = Registry::open(&world);
    let digest = registry.push(&busybox_layout(&world), "team/base:1");
    let daemon = daemon(&world, &registry);
    let reference = format!("{}/team/base@{digest}", registry.address);
    let root = fetch(&world, &daemon, &spec(&world, &reference));
    assert!(root.join("bin/busybox").exists());
    assert_eq!(std::fs::read_to_string(root.join("opt/hello")).expect("there"), "hello\n");
    let blobs = || registry.asked().iter().filter(|path| path.starts_with("/v2/team/base/blobs/")).count();
    assert_eq!(blobs(), 2, "configuration and layer: {:?}", registry.asked());
    // Another image on the same base needs its documents alone.
    world.write("source/files/more", "");
    assert!(fetch(&world, &daemon, &spec(&world, &reference)).join("opt/more").exists());
    assert_eq!(blobs(), 3, "the configuration again: {:?}", registry.asked());
}

#[test]
fn a_base_without_a_digest_is_refused_with_what_to_write() {
    let world = World::new();
    let registry = Registry::open(&world);
    let digest = registry.push(&busybox_layout(&world), "base:1");
    let daemon = daemon(&world, &registry);
    let reference = format!("{}/base:1", registry.address);
    let spec = spec(&world, &reference);
    let stderr = fail(world.client_of(&daemon, "client").arg("fetch").arg(spec), 13);
    assert!(stderr.contains(&format!("{reference}@{digest}")), "{stderr}");
}

#[test]
fn a_registry_that_is_not_allowed_is_not_asked() {
    let world = World::new();
    let registry = Registry::open(&world);
    let digest = registry.push(&busybox_layout(&world), "base:1");
    let daemon = world.daemon();
    let spec = spec(&world, &format!("{}/base@{digest}", registry.address));
    let stderr = fail(world.client_of(&daemon, "client").arg("fetch").arg(spec), 1);
    assert!(stderr.contains(&format!("--fetch http://{}/", registry.address)), "{stderr}");
}

#[test]
fn credentials_come_from_the_usual_file() {
    let world = World::new();
    let registry = Registry::guarded(&world);
    let digest = registry.push(&busybox_layout(&world), "base:1");
    let file = world.path("auth.json");
    let mut command = std::process::Command::new("env");
    command.arg(format!("REGISTRY_AUTH_FILE={}", file.display()));
    let options = ["--fetch", &format!("http://{}/", registry.address)];
    let daemon = Daemon::start_by(command, "serve", &world.path("daemon"), &options);
    let spec = spec(&world, &format!("{}/base@{digest}", registry.address));

    let output = run(world.client_of(&daemon, "client").arg("fetch").arg(&spec));
    let stderr = text(&output.stderr);
    assert!(!output.status.success() && stderr.contains(&file.display().to_string()), "{stderr}");

    // base64 of `user:secret`.
    let entry: Value = json!({"auth": "dXNlcjpzZWNyZXQ="});
    world.write("auth.json", json!({"auths": {&registry.address: entry}}).to_string());
    assert!(fetch(&world, &daemon, &spec).join("bin/busybox").exists());
    assert!(!daemon.log().contains("secret") && !daemon.log().contains("dXNlc"), "{}", daemon.log());
}
