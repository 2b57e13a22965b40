//! Services that do not get warm, and hosts that cannot make checkpoints.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{Case, command};
use crate::support::run;

fn service(script: &str) -> Value {
    json!({"cmd": ["sh", "-c", script]})
}

#[test]
fn a_service_that_does_not_get_ready_is_told_with_what_it_has_said() {
    let mut never = service("echo I am thinking; exec sleep 1000");
    never["timeout"] = 2.into();
    let case = Case::of_shell(&never);
    let said = case.failed(1);
    assert!(said.contains("error: the service was not ready within 2 s\n"), "{said}");
    assert!(said.contains("  | I am thinking\n") && said.contains("hint: give it more time by `timeout`"), "{said}");

    case.order(&service("echo giving up; exit 3"));
    let said = case.failed(1);
    assert!(said.contains("error: the service ended with exit code 3 before it was warm\n"), "{said}");
    assert!(said.contains("  | giving up\n"), "{said}");

    case.order(&json!({"cmd": ["/nowhere"]}));
    let said = case.failed(1);
    assert!(said.contains("error: the command of the service could not be started\n"), "{said}");
    assert!(said.contains("/nowhere: no such file"), "{said}");

    case.order(&json!({}));
    let said = case.failed(1);
    assert!(said.contains("error: no command is given, and the image names none"), "{said}");
}

#[test]
fn a_warm_up_that_fails_is_told_with_what_it_has_said() {
    let mut serving = service("echo is ready; exec sleep 1000");
    serving["warmup"] = json!([command("echo fine"), command("echo no data; exit 4")]);
    let case = Case::of_shell(&serving);
    let said = case.failed(1);
    assert!(said.contains("the warm-up command `sh -c echo no data; exit 4` ended with exit code 4\n"), "{said}");
    assert!(said.contains("  | no data\n  | is ready\n"), "{said}");

    serving["warmup"] = json!([command("exec sleep 1000")]);
    serving["timeout"] = 3.into();
    case.order(&serving);
    let said = case.failed(1);
    let expected = "the warm-up command `sh -c exec sleep 1000` had not ended 3 s after the start\n";
    assert!(said.contains(expected), "{said}");

    let mut dying = service("echo is ready; sleep 1; exit 5");
    dying["warmup"] = json!([command("exec sleep 1000")]);
    case.order(&dying);
    let said = case.failed(1);
    assert!(said.contains("the service ended with exit code 5 before it was warm\n"), "{said}");
}

#[test]
fn a_host_that_cannot_says_what_it_lacks() {
    let case = Case::of_shell(&service("echo is ready; exec sleep 1000"));
    let lacking = |command: &mut Command| {
        let output = run(command);
        let said = crate::support::text(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert!(!case.path("made").exists() && !case.path("work").exists());
        said
    };
    let said = lacking(case.worker().env("ENVSERVE_CRIU", case.criu_that("echo 'Version: 3.17'; exit")));
    assert!(said.contains("is CRIU 3.17, and 4.2 or later is needed\n"), "{said}");
    assert!(said.contains("hint: install the package `criu` of Debian 14 or later"), "{said}");
    let said = lacking(case.worker().env("ENVSERVE_CRIU", "").env("PATH", "/nowhere"));
    assert!(said.contains("`runc` is not installed\nhint: install the package `runc`\n"), "{said}");
    for (capability, expected) in [("chown", "only root can"), ("sys_admin", "this host lets no namespaces be made")] {
        let mut command = Command::new("setpriv");
        command.arg(format!("--bounding-set=-{capability}")).arg(case.worker().get_program()).arg("make-checkpoint");
        let said = lacking(command.current_dir(case.path("")));
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn an_order_of_another_version_is_refused() {
    let case = Case::of_shell(&service("echo is ready"));
    fs::write(case.path("order.json"), json!({"version": 9, "service": {}}).to_string()).expect("there");
    let said = case.failed(1);
    assert!(said.contains("cannot use `order.json`, which the action brings: it is of version 9"), "{said}");
    case.order(&service("echo is ready"));
    fs::write(case.path("root.tar"), "no archive").expect("there");
    let said = case.failed(1);
    assert!(said.contains("cannot unpack the root file system: `tar` ended with exit code 2"), "{said}");
}
