//! Checkpoints as daemons make them: once, whole, for hosts like the one that made them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Daemon, World, criu, fail, files, script, succeed};

/// What busybox is in the image.
const APPLETS: [&str; 10] = ["cat", "echo", "false", "head", "httpd", "ls", "mkdir", "sh", "sleep", "touch"];

/// The server. The first process of a container heeds only the signals that it asks for.
const SERVER: &str = "trap exit TERM; httpd -f -p 80 -h /srv & wait";

/// A world with the image of a small web server, and environments over it.
pub(super) struct Case {
    pub(super) world: World,
    pub(super) spec: PathBuf,
}

impl Case {
    /// Makes one with a checkpoint `warm` of the web server.
    pub(super) fn new() -> Self {
        Self::with(&service(&json!({})))
    }

    /// Makes one with this environment `warm`.
    pub(super) fn with(warm: &Value) -> Self {
        let world = World::new();
        world.busybox(&APPLETS);
        world.write("source/root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        world.write("source/root/srv/index.html", "first");
        let config = json!({"Env": ["PATH=/bin"], "Cmd": ["sh", "-c", SERVER]});
        let image = json!({"type": "image", "base": {"path": "root"}, "config": config});
        let user = json!({"type": "tree", "inputs": {"it": {"env": "warm"}}});
        let mut plain = script("echo plain >out", &["out"]);
        plain["inputs"] = json!({});
        let environments = json!({"image": image, "warm": warm, "user": user, "plain": plain});
        let spec = world.spec("warm", &environments);
        Self { world, spec }
    }

    /// Starts a daemon that gives checkpoints to all.
    pub(super) fn daemon(&self) -> Daemon {
        self.daemon_with(&criu(), &["--checkpoints-for-all"])
    }

    /// Starts a daemon with this CRIU and these options.
    pub(super) fn daemon_with(&self, criu: &Path, options: &[&str]) -> Daemon {
        let criu = criu.to_str().expect("UTF-8");
        Daemon::start(&self.world.path("daemon"), &[&["--criu", criu], options].concat())
    }

    /// Returns a client that has the checkpoint built, and prints what it is.
    pub(super) fn ask(&self, daemon: &Daemon) -> Command {
        let mut command = self.world.client_of(daemon, "client");
        command.args(["fetch", "--absent", "--json", "--quiet"]).arg(&self.spec);
        command
    }

    /// Has the checkpoint built and returns its descriptor.
    pub(super) fn built(&self, daemon: &Daemon) -> Value {
        descriptor(&mut self.ask(daemon))
    }

    /// Makes the checkpoint another one, which nobody has built.
    pub(super) fn change(&self) {
        let environments = fs::read_to_string(self.world.path("source/ENVS")).expect("there");
        let mut environments: Value = serde_json::from_str(&environments).expect("JSON");
        environments["warm"]["warmup"] = json!([["sh", "-c", "echo other >/srv/warm"]]);
        self.world.spec("warm", &environments);
    }

    /// Asks for another environment of the same file.
    pub(super) fn other(&self, name: &str) {
        self.world.write("spec.json", crate::support::spec(name).to_string());
    }
}

/// Returns a checkpoint of the web server with these fields in place of its own.
pub(super) fn service(fields: &Value) -> Value {
    let mut service = json!({
        "type": "checkpoint",
        "image": {"env": "image"},
        "ready": {"http": {"port": 80}},
        "warmup": [["sh", "-c", "echo warm >/srv/warm"]],
        "timeout": 120,
    });
    for (name, value) in fields.as_object().expect("an object") {
        service[name] = value.clone();
    }
    service
}

pub(super) fn descriptor(command: &mut Command) -> Value {
    let object: Value = serde_json::from_str(&succeed(command)).expect("JSON");
    object["descriptor"].clone()
}

/// Writes a CRIU that says it is of another version, and otherwise is the one that is installed.
fn other_criu(world: &World) -> PathBuf {
    let real = criu();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" != --version ] || {{ echo 'Version: 4.99'; exit; }}\nexec '{}' \"$@\"\n",
        real.display()
    );
    let path = world.write("other-criu", script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("temporary");
    path
}

#[test]
fn a_checkpoint_is_made_once_with_both_forms_and_is_a_hit_afterwards() {
    let case = Case::new();
    let daemon = case.daemon();
    let first = case.built(&daemon);
    assert_eq!(first["kind"], "checkpoint");
    let facts = &first["checkpoint"];
    assert_eq!((&facts["sensitive"], &facts["service"]["ready"]["http"]["port"]), (&json!(true), &json!(80)));
    let made = &facts["made"];
    assert!(made["cold_ms"].as_u64() > Some(0), "{made}");
    // Which form is faster than a cold start of something so small, the machine decides; that it can be dumped, it does not.
    for form in ["memory", "filesystem"] {
        let told = &made[form];
        let reason = told["refused"]["reason"].as_str();
        assert!(
            told["published"]["ready_ms"].is_u64() || reason.is_some_and(|reason| reason.contains(" ms")),
            "{told}"
        );
    }
    let kernel = succeed(Command::new("uname").arg("-r"));
    assert_eq!(made["host"]["kernel-release"], kernel);
    assert_eq!(daemon.builds(), 2, "the image and the checkpoint");
    assert_eq!(case.built(&daemon), first);
    assert_eq!(daemon.builds(), 2);
    assert_eq!(succeed(case.world.client_of(&daemon, "client").args(["fetch", "--probe"]).arg(&case.spec)), "hit");
}

#[test]
fn a_private_daemon_makes_checkpoints_for_its_user() {
    let case = Case::new();
    let mut command = case.world.client("client");
    command.env("ENVSERVE_CRIU", criu()).args(["fetch", "--absent", "--json"]).arg(&case.spec);
    let first = descriptor(&mut command);
    assert_eq!(first["checkpoint"]["sensitive"], true);
    assert_eq!(descriptor(&mut command), first);
}

#[test]
fn a_host_with_another_fingerprint_makes_its_own_and_both_stay() {
    let case = Case::new();
    let here = case.built(&case.daemon());
    let version = |descriptor: &Value| descriptor["checkpoint"]["made"]["host"]["criu-version"].clone();
    let other = case.daemon_with(&other_criu(&case.world), &["--checkpoints-for-all"]);
    let before = other.builds();
    let there = case.built(&other);
    assert_eq!(version(&there), "4.99");
    assert_ne!(version(&here), "4.99");
    assert_eq!(other.builds(), before + 1, "the image is shared");
    assert_eq!(case.built(&other), there);
    assert_eq!(other.builds(), before + 1);
    drop(other);
    let again = case.daemon();
    assert_eq!(case.built(&again), here, "what was made here is still offered here");
    assert_eq!(again.builds(), before + 1);
}

#[test]
fn a_host_that_can_make_none_is_given_what_there_is() {
    let case = Case::new();
    let here = case.built(&case.daemon());
    let without = case.daemon_with(Path::new("/nowhere/criu"), &["--checkpoints-for-all"]);
    assert_eq!(case.built(&without), here);
}

#[test]
fn a_checkpoint_of_which_a_blob_is_gone_is_made_again() {
    // Enough memory that does not compress for chunks of their own.
    let held = format!("x=$(head -c 3000000 /dev/urandom | cat -v); {SERVER}");
    let case = Case::with(&service(&json!({"cmd": ["sh", "-c", held], "timeout": 300})));
    let daemon = case.daemon();
    case.built(&daemon);
    let builds = daemon.builds();
    let blobs = files(&daemon.root.join("blobs"));
    assert!(!blobs.is_empty());
    blobs.iter().for_each(|blob| fs::remove_file(blob).expect("it can be"));
    let daemon = daemon.kill_and_restart();
    let again = case.built(&daemon);
    assert_eq!(again["kind"], "checkpoint");
    assert!(daemon.builds() > builds);
}

#[test]
fn a_checkpoint_is_no_input_of_other_environments() {
    let case = Case::new();
    let daemon = case.daemon();
    case.other("user");
    let said = fail(&mut case.ask(&daemon), 16);
    assert!(said.contains("input `it`: environment `warm` is a checkpoint"), "{said}");
}
