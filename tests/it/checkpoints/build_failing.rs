//! Services that become no checkpoint, and hosts that make none: each is told with its reason.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::build::{Case, service};
use crate::support::{criu, fail, files, processes, until};

/// An ordinary user.
const USER: u32 = 65_534;

#[test]
fn a_service_that_does_not_get_ready_ends_with_its_log() {
    let silent = ["sh", "-c", "echo the service waits; exec sleep 4321"];
    let case = Case::with(&service(&json!({"cmd": silent, "ready": {"tcp": 80}, "timeout": 2})));
    let daemon = case.daemon();
    let said = fail(&mut case.ask(&daemon), 16);
    assert!(said.contains("its service did not become a checkpoint, as its log says"), "{said}");
    assert!(said.contains("the service waits"), "{said}");
    assert!(processes(|line| line == "sleep 4321").is_empty(), "nothing of it is left");
}

#[test]
fn a_service_that_ends_shows_what_it_said_last() {
    let case = Case::with(&service(&json!({"cmd": ["sh", "-c", "echo cannot open the data >&2; exit 3"]})));
    let said = fail(&mut case.ask(&case.daemon()), 16);
    assert!(said.contains("cannot open the data"), "{said}");
}

#[test]
fn a_command_that_is_not_in_the_image_is_named() {
    let case = Case::with(&service(&json!({"cmd": ["no-such-server"]})));
    let said = fail(&mut case.ask(&case.daemon()), 16);
    assert!(said.contains("no-such-server"), "{said}");
}

#[test]
fn a_warm_up_that_fails_fails_the_build() {
    let case = Case::with(&service(&json!({"warmup": [["sh", "-c", "echo no schema >&2; exit 9"]]})));
    let said = fail(&mut case.ask(&case.daemon()), 16);
    assert!(said.contains("no schema"), "{said}");
}

#[test]
fn a_worker_that_takes_too_long_is_killed_with_its_service() {
    let case = Case::with(&service(&json!({"cmd": ["sh", "-c", "echo begun; exec sleep 5432"], "ready": {"tcp": 80}})));
    let daemon = case.daemon_with(&criu(), &["--checkpoints-for-all", "--action-timeout-seconds", "6"]);
    let said = fail(&mut case.ask(&daemon), 16);
    assert!(said.contains("its service did not become a checkpoint: its command did not end within 6 s"), "{said}");
    nothing_is_left(&case, "sleep 5432");
}

#[test]
fn a_killed_daemon_leaves_no_service_behind() {
    let case = Case::with(&service(&json!({"cmd": ["sh", "-c", "exec sleep 5433"], "ready": {"tcp": 80}})));
    let daemon = case.daemon();
    let mut client = case.ask(&daemon).stderr(Stdio::null()).spawn().expect("it starts");
    until("the service runs", || (!processes(|line| line == "sleep 5433").is_empty()).then_some(()));
    let daemon = daemon.kill_and_restart();
    client.wait().expect("ours");
    nothing_is_left(&case, "sleep 5433");
    drop(daemon);
}

/// Waits until the service is gone, with the worker's mounts and directories.
fn nothing_is_left(case: &Case, service: &str) {
    let root = case.world.path("daemon").display().to_string();
    until("the service and its worker are gone", || {
        let own = |line: &str| line == service || line.contains("make-checkpoint") && line.contains(&root);
        processes(own).is_empty().then_some(())
    });
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("Linux");
    assert!(!mounts.contains(&root), "{mounts}");
    until("its directory is gone", || {
        let all = files(&case.world.path("daemon/tmp"));
        (!all.iter().any(|path| path.ends_with("order.json"))).then_some(())
    });
}

#[test]
fn what_is_no_image_environment_is_refused_by_its_field() {
    for image in [json!({"path": "root"}), json!({"env": "plain"}), json!({"env": "image", "path": "root"})] {
        let case = Case::with(&service(&json!({"image": image})));
        let said = fail(&mut case.ask(&case.daemon()), 16);
        assert!(said.contains("image: it is no environment of kind `image`"), "{image}: {said}");
    }
}

#[test]
fn a_host_without_a_criu_that_works_says_how_to_get_one() {
    let case = Case::new();
    let old = case.world.write("old-criu", "#!/bin/sh\necho 'Version: 3.17'\n");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).expect("temporary");
    let remedy = "to get it: install the package `criu` of Debian 14 or later, or name another CRIU, 4.2 or later, by ENVSERVE_CRIU";
    for (program, reason) in
        [(&*old, "is CRIU 3.17, and 4.2 or later is needed"), (Path::new("/nowhere/criu"), "/nowhere/criu")]
    {
        let daemon = case.daemon_with(program, &["--checkpoints-for-all"]);
        let said = fail(&mut case.ask(&daemon), 15);
        assert!(said.contains("this host cannot make checkpoints: ") && said.contains(reason), "{said}");
        assert!(said.contains(remedy), "{said}");
        assert_eq!(daemon.builds(), 0);
    }
    let mut private = case.world.client("private");
    private.env("ENVSERVE_CRIU", &old).args(["fetch", "--absent", "--quiet"]).arg(&case.spec);
    assert!(fail(&mut private, 15).contains(remedy));
    let mut private = case.world.client("without-runc");
    private.env("ENVSERVE_CRIU", criu()).env("PATH", "/nowhere").args(["fetch", "--absent", "--quiet"]).arg(&case.spec);
    assert!(fail(&mut private, 15).contains("`runc` is not installed; to get it: install the package `runc`"));
}

#[test]
fn an_ordinary_user_is_told_that_it_takes_root() {
    let case = Case::new();
    let (home, program) = (case.world.path("home"), case.world.path("envserve"));
    fs::create_dir(&home).expect("temporary");
    chown(&home, Some(USER), Some(USER)).expect("root");
    fs::set_permissions(case.world.path(""), fs::Permissions::from_mode(0o755)).expect("temporary");
    fs::copy(env!("CARGO_BIN_EXE_envserve"), &program).expect("temporary");
    let user = USER.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]).arg(&program);
    command.args(["fetch", "--absent", "--quiet"]).arg(&case.spec).env_remove("ENVSERVE_SERVE");
    command
        .env("HOME", &home)
        .env("ENVSERVE_ROOT", &home)
        .env("ENVSERVE_CRIU", criu())
        .env("ENVSERVE_IDLE_SECONDS", "2");
    let said = fail(&mut command, 15);
    assert!(said.contains("only root can dump and restore containers; to get it: run the daemon as root"), "{said}");
}
