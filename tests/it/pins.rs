//! Entries that are kept under names: as long as they are to be, and not longer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use envserve::digest::DigestFunction;
use envserve::proto::v1;
use envserve::proto::v1::pins_client::PinsClient;
use envserve::spec::{Config, Description, GitId, KeyParts, RelativePath, ResolvedRepository};
use envserve::store::{BlobStore, RemoteBlobStore};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{Daemon, Endpoint, Kind, World, fail, object, script, spec, succeed, until};

/// Two environments, and a spec for each.
fn two(world: &World) -> [PathBuf; 2] {
    let large = |name: &str| script(&format!("echo {name} >out; head -c 300000 /dev/urandom >>out"), &["out"]);
    world.spec("kept", &json!({"kept": large("kept"), "other": large("other")}));
    ["kept", "other"].map(|name| world.write(&format!("{name}.json"), spec(name).to_string()))
}

fn prefill(world: &World, daemon: &Daemon, spec: &Path, name: &str) {
    succeed(world.client_of(daemon, "ci").args(["prefill", "--pin", name, "--keep", "14d"]).arg(spec));
}

/// Returns what a client that has nothing would get.
fn state(world: &World, daemon: &Daemon, spec: &Path) -> String {
    let plan = object(world.client_of(daemon, "asker").args(["plan", "--json"]).arg(spec));
    plan["state"].as_str().expect("a text").to_owned()
}

/// Returns the names that are kept, each with its environments.
fn pins(world: &World, daemon: &Daemon) -> BTreeMap<String, Vec<String>> {
    let list = object(world.client_of(daemon, "asker").args(["pins", "list", "--json"]));
    let pin = |pin: &Value| {
        let environments = pin["entries"].as_array().expect("a list").iter();
        let environments = environments.map(|entry| entry["environment"].as_str().expect("a text").to_owned());
        (pin["name"].as_str().expect("a text").to_owned(), environments.collect())
    };
    list["pins"].as_array().expect("a list").iter().map(pin).collect()
}

/// Evicts by hand whatever may go, until an environment is gone.
fn evict(world: &World, root: &Path, spec: &Path) {
    until("an end of the lease", || {
        let mut gc = Command::new(env!("CARGO_BIN_EXE_envserve"));
        gc.args(["gc", "--json", "--min-age-seconds", "0", "--max-age-days", "0", "--root"]).arg(root);
        if object(&mut gc)["evicted_blobs"].as_u64() == Some(0) {
            return None;
        }
        let daemon = Daemon::start(root, &["--lease-seconds", "1"]);
        let gone = state(world, &daemon, spec) == "build";
        assert!(daemon.terminate().success());
        gone.then_some(())
    });
}

#[test]
fn what_is_pinned_outlives_a_kill_and_collections_and_goes_when_it_is_dropped() {
    let world = World::new();
    let [kept, other] = two(&world);
    let daemon = Daemon::start(&world.path("daemon"), &["--lease-seconds", "1"]);
    prefill(&world, &daemon, &kept, "nightly");
    let daemon = daemon.kill_and_restart();
    assert_eq!(pins(&world, &daemon), BTreeMap::from([("nightly".to_owned(), vec!["kept".to_owned()])]));
    // Its lease ends after that of what is pinned.
    succeed(world.client_of(&daemon, "client").arg("fetch").arg(&other));
    let root = daemon.root.clone();
    assert!(daemon.terminate().success());
    evict(&world, &root, &other);
    let daemon = Daemon::start(&root, &["--lease-seconds", "1"]);
    assert_eq!(state(&world, &daemon, &kept), "hit");
    let said = fail(world.client_of(&daemon, "asker").args(["pins", "drop", "nightly", "nihgtly"]), 1);
    assert!(said.contains("there is no pin `nihgtly`; the nearest are `nightly`"), "{said}");
    assert_eq!(pins(&world, &daemon).len(), 1, "all or none");
    let said = succeed(world.client_of(&daemon, "asker").args(["pins", "drop", "nightly"]));
    assert_eq!(said, "dropped `nightly`: 1 entries");
    assert_eq!(pins(&world, &daemon), BTreeMap::new());
    assert!(daemon.terminate().success());
    evict(&world, &root, &kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_short_of_room_evicts_what_is_not_pinned() {
    let world = World::new();
    let [kept, other] = two(&world);
    let options = ["--max-size", "12MiB", "--min-age-seconds", "1", "--lease-seconds", "1"];
    let daemon = Daemon::start(&world.path("daemon"), &options);
    prefill(&world, &daemon, &kept, "nightly");
    succeed(world.client_of(&daemon, "client").arg("fetch").arg(&other));
    let store = RemoteBlobStore::new(daemon.link(), String::new(), DigestFunction::Sha256);
    let mut random = fastrand::Rng::with_seed(1);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    for _ in 0..60 {
        let mut bytes = vec![0; 400_000];
        random.fill(&mut bytes);
        let blob = (DigestFunction::Sha256.digest(&bytes), bytes::Bytes::from(bytes));
        // There is room once what was stored before is old enough to go.
        while store.put_batch(vec![blob.clone()]).await.is_err() {
            assert!(std::time::Instant::now() < deadline, "{}", daemon.log());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    assert_eq!(state(&world, &daemon, &other), "build");
    assert_eq!(state(&world, &daemon, &kept), "hit");
}

/// A key that nobody has built anything for.
fn question(name: &str, keep_seconds: i64) -> v1::KeepRequest {
    let root = GitId::parse("4b825dc642cb6eb9a060e54bf8d69288fbee4904").expect("an id");
    let main = ResolvedRepository { root, environments_file: "ENVS".into(), bindings: BTreeMap::new() };
    let description = Description::new("main", &BTreeMap::from([("main".to_owned(), main)])).expect("it is there");
    let (module, effective_config) = (RelativePath::root(), Config::default());
    let parts = KeyParts { description, module, name: "none".into(), effective_config };
    let (key, description) = (parts.canonical(), parts.description.canonical());
    v1::KeepRequest { name: name.into(), keep_seconds, key, description, properties: [].into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_times_that_cannot_be_are_refused_with_the_form_that_they_have() {
    let world = World::new();
    let daemon = world.daemon();
    let mut client = PinsClient::new(daemon.link().channel());
    for name in ["", ".x", "a/b", "a b", &"x".repeat(65)] {
        let status = client.keep(question(name, 60)).await.expect_err("no name");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("1 to 64 of `A-Z a-z 0-9 . _ -`"), "{status}");
        let status = client.drop(v1::DropPinRequest { name: name.into() }).await.expect_err("no name");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    for seconds in [0, -1, i64::MIN, i64::MAX, 366 * 86_400 + 1] {
        let status = client.keep(question("nightly", seconds)).await.expect_err("no time");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("1 s to 366 days"), "{status}");
    }
    let status = client.keep(question("nightly", 60)).await.expect_err("no entry");
    assert_eq!(status.code(), Code::NotFound, "{status}");
    let status = client.drop(v1::DropPinRequest { name: "nightly".into() }).await.expect_err("no pin");
    assert_eq!(status.code(), Code::NotFound, "{status}");
    assert!(client.list(v1::ListPinsRequest {}).await.expect("an answer").into_inner().pins.is_empty());
}

#[test]
fn what_is_pinned_is_touched_over_a_remote_endpoint_when_no_lease_is_left() {
    let (world, endpoint) = (World::new(), Endpoint::start(Kind::Own));
    let [kept, other] = two(&world);
    let mut command = Command::new("env");
    command.arg("ENVSERVE_LOG=debug");
    let options = ["--remote", &endpoint.address, "--lease-seconds", "1"];
    let daemon = Daemon::start_by(command, "serve", &world.path("serve"), &options);
    prefill(&world, &daemon, &kept, "nightly");
    succeed(world.client_of(&daemon, "client").arg("fetch").arg(&other));
    // Leases of a second are over long before the second look.
    let touched = || daemon.log().lines().filter(|line| line.contains("touched what is under lease")).count();
    let before = touched();
    until("looks at what is kept", || (touched() >= before + 3).then_some(()));
    let log = daemon.log();
    let last = log.lines().rfind(|line| line.contains("touched what is under lease")).expect("it was just there");
    assert!(last.contains("count=1"), "{last}");
}
