//! How instances are started, and why they are not.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use serde_json::json;

use super::{Case, address, get, id};
use crate::support::{fail, run, succeed, text, until};

#[test]
fn twenty_run_at_once_with_the_same_port_and_see_nothing_of_each_other() {
    let case = Case::new();
    let instances = case.started(&["-n", "20", "--ready-http", "80"]);
    assert_eq!(instances.len(), 20);
    let addresses: BTreeSet<String> = instances.iter().map(address).collect();
    assert_eq!(addresses.len(), 20);
    for (number, instance) in instances.iter().enumerate() {
        assert_eq!(get(instance), "first");
        let script = format!("echo -n {number} >/srv/index.html");
        succeed(&mut case.exec(&id(instance), &["sh", "-c", &script]));
    }
    for (number, instance) in instances.iter().enumerate() {
        assert_eq!(get(instance), number.to_string());
    }
    let mut listed = case.listed();
    listed.sort_by_key(id);
    let mut instances = instances;
    instances.sort_by_key(id);
    assert_eq!(listed, instances);
    let mounts = fs::read_to_string("/proc/self/mounts").expect("Linux");
    assert!(!mounts.contains(case.world.path("client").to_str().expect("UTF-8")), "the host sees no mount");
    succeed(case.command("down").arg("--all"));
    assert!(case.listed().is_empty() && case.directories().is_empty());
}

#[test]
fn a_line_has_id_and_addresses() {
    let case = Case::new();
    let printed = succeed(&mut case.up(&["--port", "81", "--env", "A=b", "--", "sleep", "1000"]));
    let words: Vec<&str> = printed.split(' ').collect();
    let [id, first, second] = &words[..] else { panic!("{printed}") };
    assert!(first.starts_with("80/tcp=127.0.0.1:") && second.starts_with("81/tcp=127.0.0.1:"), "{printed}");
    assert_eq!(succeed(&mut case.exec(id, &["sh", "-c", "echo $A $OF_IMAGE"])), "b yes");
    let listed = succeed(&mut case.command("ps"));
    assert!(listed.starts_with(&printed) && listed.contains("environment=image status=running"), "{listed}");
}

#[test]
fn each_probe_waits_until_the_service_is_ready() {
    let case = Case::new();
    let late = "sleep 0.3; echo it is ready; touch /ready; exec httpd -f -p 80 -h /srv".replace("touch", "echo >");
    for probe in [["--ready-tcp", "80"], ["--ready-http", "80/index.html"]] {
        let instance = &case.started(&[&probe[..], &["--", "sh", "-c", &late]].concat())[0];
        assert_eq!(get(instance), "first");
    }
    let log = case.one(&["--ready-log", "is ready", "--", "sh", "-c", &late]);
    assert_eq!(succeed(case.command("logs").arg(log)), "it is ready");
    let cmd = case.one(&["--ready-cmd", "test -e /ready", "--", "sh", "-c", &late.replace("exec", "ls;")]);
    succeed(&mut case.exec(&cmd, &["ls", "/ready"]));
}

#[test]
fn one_that_does_not_get_ready_is_told_with_its_log() {
    let case = Case::new();
    let script = ["--", "sh", "-c", "echo starting up; sleep 1000"];
    let error = fail(case.up(&["--ready-tcp", "80", "-n", "2"]).args(["--timeout", "1"]).args(script), 2);
    assert!(error.contains("--timeout"), "given twice: {error}");
    let mut command = case.command("up");
    command.arg(&case.spec).args(["--ready-tcp", "80", "-n", "2", "--timeout", "1"]).args(script);
    let error = fail(&mut command, 17);
    assert!(error.contains("not ready after 1 s") && error.contains("| starting up"), "{error}");
    assert!(case.directories().is_empty());
    let error = fail(&mut case.up(&["--ready-log", "never", "--", "sh", "-c", "echo no luck; exit 3"]), 1);
    assert!(error.contains("has ended: exit code 3") && error.contains("| no luck"), "{error}");
    let error = fail(&mut case.up(&["--", "nothing"]), 1);
    assert!(error.contains("could not be started") && error.contains("nothing"), "{error}");
    assert!(case.directories().is_empty());
}

#[test]
fn what_cannot_be_started_is_refused() {
    let case = Case::with(&json!({"ExposedPorts": {"1000-2000/tcp": {}}}));
    let error = fail(&mut case.up(&["--", "sleep", "1"]), 2);
    assert!(error.contains("ports to pass on, and at most 128"), "{error}");
    let case = Case::with(&json!({"ExposedPorts": {"53/udp": {}}}));
    let error = fail(&mut case.up(&[]), 2);
    assert!(error.contains("no command is given, and the image names none"), "{error}");
    for wrong in [["-n", "0"], ["-n", "100000"], ["--port", "0"], ["--ready-http", "x"], ["--timeout", "0"]] {
        let output = run(case.up(&[]).args(wrong));
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
    let error = fail(&mut case.up(&["--ready-tcp", "1", "--ready-log", "x"]), 2);
    assert!(error.contains("cannot be used with"), "{error}");
    let error = fail(case.command("up").arg(&case.spec).args(["-e", "main", "", "tree"]), 2);
    assert!(error.contains("an environment of kind `tree` is no image"), "{error}");
    let error = fail(case.command("up").arg(&case.spec).args(["--owner-pid", "4194305", "--", "sleep", "1"]), 1);
    assert!(error.contains("the process 4194305, to which the instances are to belong, is gone"), "{error}");
    let error = fail(case.up(&["--", "sleep", "1"]).env("PATH", "/nowhere"), 15);
    assert!(error.contains("`runc` is not installed"), "{error}");
    let output = run(&mut case.up(&["--", "sleep", "1000"]));
    assert!(text(&output.stderr).contains("port `53/udp` is not passed on"), "{output:?}");
}

#[test]
fn an_ordinary_user_is_told_that_this_host_cannot() {
    let case = Case::new();
    let error = fail(&mut case.up_as_nobody(), 15);
    assert!(error.contains("only root can have instances"), "{error}");
}

#[test]
fn a_start_that_is_broken_off_leaves_nothing() {
    let case = Case::new();
    let mut up = case.up(&["-n", "4", "--ready-log", "never", "--", "sleep", "76543"]);
    let mut up = up.stdout(Stdio::null()).spawn().expect("runs");
    until("two are being started", || (case.directories().len() >= 2).then_some(()));
    up.kill().expect("ours");
    up.wait().expect("ours");
    until("all are gone", || case.directories().is_empty().then_some(()));
    assert!(crate::support::processes(|line| line == "sleep 76543").is_empty());
}
