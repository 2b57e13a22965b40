//! Checkpoints as clients fetch them: what the form needs that this host can, once, and nothing that was not verified.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::build::{Case, service};
use crate::support::{Daemon, Proxy, World, contents, criu, fail, files, object, script, succeed, until};

/// An ordinary user.
const USER: u32 = 65_534;

/// A service that takes two seconds to start, however clean its disk is.
fn slow() -> Case {
    Case::with(&service(&json!({"cmd": ["sh", "-c", "sleep 2; exec httpd -f -p 80 -h /srv"]})))
}

/// Writes a CRIU that notes that it was run, and says it is of another version where one is given.
fn criu_of(world: &World, name: &str, version: Option<&str>) -> PathBuf {
    let (real, noted) = (criu(), world.path(&format!("{name}-was-run")));
    let version = version.map(|version| format!("[ \"$1\" != --version ] || {{ echo 'Version: {version}'; exit; }}\n"));
    let version = version.unwrap_or_default();
    let script = format!("#!/bin/sh\necho >>'{}'\n{version}exec '{}' \"$@\"\n", noted.display(), real.display());
    let path = world.write(name, script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("temporary");
    path
}

/// Returns `envserve VERB` of the checkpoint for a client with this root and CRIU.
fn client(case: &Case, server: &str, root: &str, criu: &Path, verb: &str) -> Command {
    let mut command = case.world.client(root);
    command.env("ENVSERVE_SERVE", server).env("ENVSERVE_CRIU", criu).arg(verb).arg(&case.spec);
    command
}

/// Returns what `fetch --json` says.
fn fetched(case: &Case, daemon: &Daemon, root: &str, criu: &Path) -> Value {
    let printed = succeed(client(case, &daemon.address, root, criu, "fetch").arg("--json"));
    serde_json::from_str(&printed).expect("JSON")
}

fn path(value: &Value) -> PathBuf {
    value.as_str().expect("a path").into()
}

/// Returns the files below a directory, or none when there is no such directory.
fn below(directory: &Path) -> Vec<PathBuf> {
    if directory.exists() { files(directory) } else { Vec::new() }
}

#[test]
fn a_checkpoint_is_fetched_once_and_then_neither_a_connection_nor_criu_is_needed() {
    let case = slow();
    let daemon = case.daemon();
    let criu = criu_of(&case.world, "own-criu", None);
    let plan = |root| object(client(&case, &daemon.address, root, &criu, "plan").arg("--json"));
    assert_eq!(plan("client")["state"], "build");
    let first = fetched(&case, &daemon, "client", &criu);
    assert_eq!(plan("client")["state"], "here");
    let elsewhere = plan("other");
    assert_eq!((&elsewhere["state"], &elsewhere["fetch_bytes"]), (&json!("hit"), &Value::Null), "{elsewhere}");
    let checkpoint = &first["checkpoint"];
    assert_eq!(
        (&first["kind"], &first["present"], &checkpoint["form"]),
        (&json!("checkpoint"), &json!(false), &json!("memory"))
    );
    let why = checkpoint["why"].as_str().expect("a text");
    assert!(why.starts_with("memory: ") && why.contains(" ms where it was made, "), "{why}");
    assert!(checkpoint["without_ms"].as_u64() >= Some(2000), "{checkpoint}");
    let images = path(&checkpoint["images"]);
    assert!(files(&images).iter().any(|path| path.to_string_lossy().contains("/pages-")), "{images:?}");
    assert_eq!(checkpoint["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!(fs::read_to_string(path(&checkpoint["layers"][0]).join("srv/warm")).expect("written"), "warm\n");
    let noted = case.world.path("own-criu-was-run");
    let runs = fs::read(&noted).expect("it was run");
    let address = daemon.address.clone();
    drop(daemon);
    let output = succeed(client(&case, &address, "client", &criu, "fetch").arg("--json"));
    let again: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!((&again["present"], &again["checkpoint"]), (&json!(true), checkpoint));
    assert_eq!(path(&again["directory"]), path(&first["directory"]));
    assert_eq!(fs::read(&noted).expect("there"), runs, "the fingerprint is known");
}

#[test]
fn the_image_below_is_the_one_of_its_own_environment() {
    let case = slow();
    let daemon = case.daemon();
    let first = fetched(&case, &daemon, "client", &criu());
    case.other("image");
    let image = fetched(&case, &daemon, "client", &criu());
    assert_eq!(path(&image["directory"]), path(&first["checkpoint"]["root"]));
    assert_eq!(image["downloaded_bytes"], 0);
}

#[test]
fn a_host_that_does_not_fit_never_downloads_the_memory_and_is_told_why() {
    let case = slow();
    let other = criu_of(&case.world, "other-criu", Some("4.99"));
    let daemon = case.daemon_with(&other, &["--checkpoints-for-all"]);
    let fits = fetched(&case, &daemon, "fits", &other);
    assert_eq!(fits["checkpoint"]["form"], "memory");
    let here = fetched(&case, &daemon, "here", &criu());
    assert_ne!(here["checkpoint"]["form"], "memory");
    assert_eq!(here["checkpoint"]["images"], Value::Null);
    let why = here["checkpoint"]["why"].as_str().expect("a text");
    assert!(why.contains("; the memory form needs CRIU version: 4.99 there, 4.2.1 here"), "{why}");
    let pieces = below(&case.world.path("fits/checkpoints/blobs"));
    let memory: u64 = pieces.iter().map(|path| fs::metadata(path).expect("there").len()).sum();
    assert!(memory > 10_000, "{memory}");
    let bytes = |fetched: &Value| fetched["downloaded_bytes"].as_u64().expect("a number");
    // The file system form may have a layer more, which is small.
    assert!(bytes(&here) + memory / 2 < bytes(&fits), "{} {} {memory}", bytes(&here), bytes(&fits));
    assert_eq!(below(&case.world.path("here/checkpoints/blobs")), Vec::<PathBuf>::new());
}

#[test]
fn a_host_without_criu_takes_another_form() {
    let case = slow();
    let daemon = case.daemon();
    let mut command = client(&case, &daemon.address, "client", Path::new(""), "fetch");
    command.env("PATH", "/nowhere").arg("--json");
    let here: Value = serde_json::from_str(&succeed(&mut command)).expect("JSON");
    assert_ne!(here["checkpoint"]["form"], "memory");
    let why = here["checkpoint"]["why"].as_str().expect("a text");
    assert!(why.contains("needs a host that can restore processes: `criu` is not installed"), "{why}");
}

#[test]
fn a_piece_that_was_spoilt_is_fetched_again_and_never_used() {
    let case = slow();
    let daemon = case.daemon();
    let first = fetched(&case, &daemon, "client", &criu());
    let images = path(&first["checkpoint"]["images"]);
    let whole = contents(&images);
    fs::remove_dir_all(images.parent().expect("not the root")).expect("temporary");
    let mut pieces = below(&case.world.path("client/checkpoints/blobs"));
    pieces.sort_by_key(|path| fs::metadata(path).expect("there").len());
    let largest = pieces.pop().expect("there are some");
    let length = fs::metadata(&largest).expect("there").len();
    fs::write(&largest, vec![7; usize::try_from(length).expect("small")]).expect("root");
    let again = fetched(&case, &daemon, "client", &criu());
    assert_eq!((&again["present"], again["downloaded_bytes"].as_u64()), (&json!(false), Some(length)));
    assert_eq!(contents(&images), whole);
}

#[test]
fn what_the_server_has_spoilt_is_made_again_and_is_not_used() {
    let noise = json!([["sh", "-c", "head -c 200000 /dev/urandom >/srv/noise"]]);
    let cmd = json!(["sh", "-c", "sleep 2; exec httpd -f -p 80 -h /srv"]);
    let case = Case::with(&service(&json!({"cmd": cmd, "warmup": noise})));
    let daemon = case.daemon();
    let layer = |root: &str| path(&fetched(&case, &daemon, root, &criu())["checkpoint"]["layers"][0]).join("srv/noise");
    let first = fs::read(layer("client")).expect("written");
    let is_it = |path: &&PathBuf| fs::read(path).is_ok_and(|bytes| bytes == first);
    let blobs = files(&daemon.root.join("blobs"));
    let blob = blobs.iter().find(is_it).expect("it is large enough to be a file");
    fs::write(blob, vec![7; first.len()]).expect("root");
    // Made again, or taken from the archive that the worker left: both are right.
    let second = fs::read(layer("other")).expect("written");
    assert!(second.len() == first.len() && second.iter().any(|byte| *byte != 7));
    assert!(daemon.log().contains("stored blob is corrupt: removed"), "{}", daemon.log());
}

#[test]
fn a_client_that_is_killed_leaves_nothing_that_is_used() {
    let case = slow();
    let daemon = case.daemon();
    let whole = contents(&path(&fetched(&case, &daemon, "whole", &criu())["checkpoint"]["images"]));
    let proxy = Proxy::new(&daemon.address);
    proxy.rate(200_000);
    let mut slow = client(&case, &proxy.address, "client", &criu(), "fetch").arg("--quiet").spawn().expect("it starts");
    let checkpoints = case.world.path("client/checkpoints");
    until("a part of the memory is on its way", || checkpoints.join("tmp").exists().then_some(()));
    slow.kill().expect("it runs");
    slow.wait().expect("it ends");
    assert!(!below(&checkpoints).iter().any(|path| path.to_string_lossy().contains("/memory/")));
    // The answer of one server is none of another.
    let again = fetched(&case, &daemon, "client", &criu());
    assert_eq!(again["present"], false);
    assert_eq!(contents(&path(&again["checkpoint"]["images"])), whole);
}

#[test]
fn it_is_secret_on_the_disk_of_a_client() {
    let case = slow();
    let daemon = case.daemon();
    let first = fetched(&case, &daemon, "client", &criu());
    let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o7777;
    assert_eq!(mode(&case.world.path("client/checkpoints")), 0o700);
    assert_eq!(mode(&case.world.path("client/images/owned")), 0o700);
    let images = path(&first["checkpoint"]["images"]);
    assert!(files(&images).iter().all(|path| mode(path) == 0o644));
    let all = below(&case.world.path("client/blobs"));
    let has = |text: &str| all.iter().any(|path| fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes()));
    assert!(!has("warm\n"), "what the service wrote is no blob that others can read");
}

#[test]
fn with_a_private_daemon_the_blobs_are_secret_and_environments_are_not() {
    let case = slow();
    let fetch = || {
        let mut command = case.world.client("client");
        command.env("ENVSERVE_CRIU", criu()).arg("fetch").arg(&case.spec);
        path(&Value::from(succeed(&mut command)))
    };
    case.other("plain");
    let open = fetch();
    case.other("warm");
    let warm = fetch();
    assert!(files(&warm.join("memory/images")).iter().any(|path| path.to_string_lossy().contains("/pages-")));
    let pieces = below(&case.world.path("client/checkpoints/blobs"));
    let length = |path: &PathBuf| fs::metadata(path).expect("there").len();
    assert_eq!(pieces.iter().map(length).sum::<u64>(), 0, "they are here already");
    assert_eq!(fs::metadata(case.world.path("client/blobs")).expect("there").mode() & 0o7777, 0o700);
    // What runs as another user reads its inputs all the same.
    let mut later = script("cat srv/index.html >out", &["out"]);
    later["inputs"] = json!({"": {"path": "root"}});
    case.world.spec("later", &json!({"later": later}));
    assert_eq!(fs::read_to_string(fetch().join("out")).expect("there"), "first");
    for path in ["", "client"] {
        fs::set_permissions(case.world.path(path), fs::Permissions::from_mode(0o755)).expect("temporary");
    }
    let user = USER.to_string();
    let mut other = Command::new("setpriv");
    other.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--", "cat"]).arg(open.join("out"));
    assert_eq!(succeed(&mut other), "plain");
}

#[test]
fn it_is_started_and_nothing_else() {
    let case = slow();
    let daemon = case.daemon();
    let words = |verb: &str, words: &[&str]| {
        let mut command = client(&case, &daemon.address, "client", &criu(), verb);
        command.args(words);
        command
    };
    let copy = case.world.path("copy");
    for mut command in [
        words("fetch", &["--view", "oci"]),
        words("fetch", &["--view", "docker-archive"]),
        words("fetch", &["--view", "nix"]),
        words("fetch", &["--load", "podman"]),
        words("fetch", &["--install", copy.to_str().expect("UTF-8")]),
        words("shell", &["--", "true"]),
        words("env", &[]),
        words("run", &["--", "true"]),
    ] {
        let said = fail(&mut command, 2);
        assert!(said.contains("hint: start copies of it by `envserve up`"), "{command:?} {said}");
    }
    assert!(!case.world.path("client/checkpoints").exists() && !case.world.path("client/images").exists());
    let absent = succeed(&mut words("fetch", &["--absent"]));
    assert!(absent.starts_with("blake3:") || absent.starts_with("sha256:"), "{absent}");
    assert_eq!(succeed(&mut words("fetch", &["--probe"])), "hit");
    let out = case.world.path("out");
    let directory = succeed(&mut words("fetch", &["-o", out.to_str().expect("UTF-8")]));
    assert_eq!(fs::read_link(out).expect("a link"), PathBuf::from(directory));
    assert_eq!(succeed(&mut words("fetch", &["--probe"])), "here");
}

#[test]
fn an_ordinary_user_is_told_that_it_takes_root() {
    let case = slow();
    let daemon = case.daemon();
    case.built(&daemon);
    let (program, root) = (case.world.path("envserve"), case.world.path("user"));
    fs::create_dir(&root).expect("temporary");
    chown(&root, Some(USER), Some(USER)).expect("root");
    fs::set_permissions(case.world.path(""), fs::Permissions::from_mode(0o755)).expect("temporary");
    fs::copy(env!("CARGO_BIN_EXE_envserve"), &program).expect("temporary");
    let mut command = Command::new("setpriv");
    let user = USER.to_string();
    command
        .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"])
        .arg(program)
        .arg("fetch")
        .arg(&case.spec);
    command.env("HOME", &root).env("ENVSERVE_ROOT", &root).env("ENVSERVE_SERVE", &daemon.address);
    let said = fail(&mut command, 15);
    assert!(said.contains("only root can start a service from a checkpoint"), "{said}");
    assert!(!root.join("checkpoints").exists());
}
