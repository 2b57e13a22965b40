//! What `envserve doctor` says of this host, and that it leaves nothing behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{World, criu, processes, run, succeed, text, until};

/// An ordinary user.
const USER: u32 = 65_534;

fn doctor(world: &World, words: &[&str]) -> Command {
    let mut command = world.client("root");
    command.env("ENVSERVE_CRIU", criu()).arg("doctor").args(words);
    command
}

/// Runs a doctor that finds something lacking, and returns what it says.
fn lacking(command: &mut Command) -> String {
    let output = run(command);
    assert_eq!(output.status.code(), Some(15), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Writes a program that says it is this version of CRIU, and otherwise does this.
fn false_criu(world: &World, version: &str, script: &str) -> PathBuf {
    let script = format!("#!/bin/sh\n[ \"$1\" != --version ] || {{ echo 'Version: {version}'; exit; }}\n{script}\n");
    let path = world.write("false-criu", script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("temporary");
    path
}

/// Returns the directories and control groups of trials of a process, and processes that work on them.
fn left_behind(world: &World, doctor: u32) -> Vec<String> {
    let prefix = format!("envserve-doctor-{doctor}-");
    let mut left = processes(|line| line.contains(&prefix));
    let hierarchies = fs::read_dir("/sys/fs/cgroup").expect("Linux").flatten().map(|entry| entry.path());
    let places = ["/run".into(), "/sys/fs/cgroup".into(), world.path("")];
    for place in hierarchies.chain(places).filter(|place| place.is_dir()) {
        let names = fs::read_dir(place).expect("readable").flatten().map(|entry| entry.file_name());
        left.extend(names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.starts_with(&prefix)));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("Linux");
    left.extend(mounts.lines().filter(|line| line.contains(&prefix)).map(str::to_owned));
    left
}

#[test]
fn this_host_has_all_abilities_and_a_fingerprint_that_stays() {
    let world = World::new();
    let object: Value = serde_json::from_str(&succeed(&mut doctor(&world, &["--json"]))).expect("JSON");
    assert_eq!(object["version"], 1);
    let abilities = object["abilities"].as_array().expect("a list");
    for ability in abilities {
        assert_eq!(ability["has"], true, "{ability}");
    }
    let names: Vec<&str> = abilities.iter().filter_map(|ability| ability["name"].as_str()).collect();
    let expected =
        "sandbox user-namespaces user-range overlays id-mapped-mounts control-groups runc criu git nix podman skopeo";
    assert_eq!(names.join(" "), expected);
    let needed = abilities.iter().filter(|ability| ability["needed"] == true);
    assert_eq!(needed.count(), 2);
    let digest = object["fingerprint"]["digest"].as_str().expect("text");
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    let kernel = succeed(Command::new("uname").arg("-r"));
    assert_eq!(object["fingerprint"]["parts"]["kernel-release"], kernel);
    let said = succeed(&mut doctor(&world, &["criu"]));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("ok    criu: CRIU 4.") && lines[0].contains("was dumped and restored"), "{said}");
    assert_eq!(lines[1], format!("fingerprint {digest}"));
    assert!(!world.path("root").exists(), "it makes no root");
}

#[test]
fn nothing_is_left_behind() {
    let world = World::new();
    let child = doctor(&world, &[]).stdout(Stdio::piped()).spawn().expect("it starts");
    let process = child.id();
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert_eq!(left_behind(&world, process), Vec::<String>::new());
    assert!(!succeed(Command::new("runc").args(["list", "--quiet"])).contains("envserve-doctor"));
}

#[test]
fn a_killed_doctor_leaves_no_process_and_the_next_one_removes_the_rest() {
    let world = World::new();
    let started = world.path("started");
    let hangs = false_criu(&world, "4.2", &format!("touch '{}'; exec sleep 98765", started.display()));
    let mut child = doctor(&world, &["criu"]).env("ENVSERVE_CRIU", hangs).spawn().expect("it starts");
    let process = child.id();
    until("CRIU is started", || started.exists().then_some(()));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let prefix = format!("envserve-doctor-{process}-");
    until("the trial has ended", || processes(|line| line.contains(&prefix)).is_empty().then_some(()));
    until("what it has left is gone", || {
        succeed(&mut doctor(&world, &["runc"]));
        left_behind(&world, process).is_empty().then_some(())
    });
}

#[test]
fn programs_that_are_not_installed_are_named_with_their_packages() {
    let world = World::new();
    let named = ["sandbox", "runc", "criu", "git", "nix", "podman", "skopeo"];
    let said = lacking(doctor(&world, &named).env("PATH", "/nowhere").env("ENVSERVE_CRIU", ""));
    let expected = [
        "lacks sandbox: `bwrap` is not installed; to get it: install the package `bubblewrap`",
        "lacks runc: `runc` is not installed; to get it: install the package `runc`",
        "lacks criu: `criu` is not installed; to get it: install the package `criu` of Debian 14 or later, or name another CRIU, 4.2 or later, by ENVSERVE_CRIU",
        "lacks git: `git` is not installed; to get it: install the package `git`",
        "lacks nix: `nix-store` is not installed; to get it: install the package `nix-bin`",
        "lacks podman: `podman` is not installed; to get it: install the package `podman`",
        "lacks skopeo: `skopeo` is not installed; to get it: install the package `skopeo`",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_optional_fails_only_who_names_it() {
    let world = World::new();
    let old = false_criu(&world, "3.17", "exit 1");
    let said = succeed(doctor(&world, &[]).env("ENVSERVE_CRIU", &old));
    assert!(said.contains("lacks criu: ") && said.contains("ok    sandbox: "), "{said}");
    assert!(!said.contains("fingerprint"), "{said}");
    lacking(doctor(&world, &["criu", "git"]).env("ENVSERVE_CRIU", &old));
    succeed(doctor(&world, &["git"]).env("ENVSERVE_CRIU", &old));
    let output = run(&mut doctor(&world, &["wings"]));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_criu_that_is_too_old_is_refused_by_its_version() {
    let world = World::new();
    let program = false_criu(&world, "3.17", "exit 1");
    let said = lacking(doctor(&world, &["criu"]).env("ENVSERVE_CRIU", &program));
    let expected = format!("lacks criu: `{}` is CRIU 3.17, and 4.2 or later is needed; ", program.display());
    assert!(said.starts_with(&expected), "{said}");
    let program = false_criu(&world, "", "exit 1");
    let said = lacking(doctor(&world, &["criu", "--json"]).env("ENVSERVE_CRIU", &program));
    let object: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&object["abilities"][0]["has"], &object["fingerprint"]), (&false.into(), &Value::Null));
}

#[test]
fn a_criu_that_does_not_dump_is_lacking_with_its_reason() {
    let world = World::new();
    let script = format!("exec '{}' --no-such-option \"$@\"", criu().display());
    let said = lacking(doctor(&world, &["criu"]).env("ENVSERVE_CRIU", false_criu(&world, "4.2.1", &script)));
    assert!(said.contains("CRIU 4.2.1 (") && said.contains("`runc checkpoint` failed: "), "{said}");
    // It starts, and lacks what a dump takes: then its own log says why.
    let script = format!("ulimit -n 12; exec '{}' \"$@\"", criu().display());
    let said = lacking(doctor(&world, &["criu"]).env("ENVSERVE_CRIU", false_criu(&world, "4.2.1", &script)));
    assert!(said.contains("`runc checkpoint` failed: ") && said.contains("Error (criu/"), "{said}");
    let said = lacking(doctor(&world, &["criu"]).env("ENVSERVE_CRIU", world.path("absent")));
    assert!(said.contains("cannot be started"), "{said}");
}

#[test]
fn an_ordinary_user_is_told_what_needs_root() {
    let world = World::new();
    let home = world.path("home");
    fs::create_dir(&home).expect("temporary");
    chown(&home, Some(USER), Some(USER)).expect("root");
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("temporary");
    open(&world.path(""));
    let program = world.path("envserve");
    fs::copy(env!("CARGO_BIN_EXE_envserve"), &program).expect("temporary");
    let as_user = |words: &[&str]| {
        let mut command = Command::new("setpriv");
        let user = USER.to_string();
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]).arg(&program).arg("doctor");
        command.args(words).env("HOME", &home).env("ENVSERVE_ROOT", &home).env("ENVSERVE_CRIU", criu());
        command
    };
    let said = succeed(&mut as_user(&["sandbox", "user-namespaces", "overlays", "runc"]));
    assert!(said.contains("user-namespaces: for this user") && said.contains("a container was run"), "{said}");
    let said = lacking(&mut as_user(&["id-mapped-mounts", "criu", "control-groups", "user-range"]));
    let root = |name: &str, what: &str| format!("lacks {name}: only root can {what}; to get it: run envserve as root");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("lacks user-range: ") && lines[0].contains("/etc/subuid"), "{said}");
    assert_eq!(lines[1], root("id-mapped-mounts", "show files as those of other users"));
    assert!(lines[2].starts_with("lacks control-groups: ") && lines[2].contains("as root"), "{said}");
    assert_eq!(lines[3], root("criu", "dump and restore containers"));
    assert_eq!(fs::read_dir(&home).expect("there").count(), 0, "nothing is left");
}

#[test]
fn a_trial_is_nothing_for_users() {
    let world = World::new();
    let said = succeed(world.client("root").arg("--help"));
    assert!(said.contains("doctor") && !said.contains("trial"), "{said}");
    let trial = r#"{"container":{"place":"/run","name":"x","runc":"/bin/false","mapped":true}}"#;
    let said = succeed(world.client("root").args(["trial", trial]));
    assert_eq!(said, r#"{"Err":"a trial is started by `envserve doctor` only"}"#);
}
