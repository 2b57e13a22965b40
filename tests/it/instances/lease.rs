//! Instances go with whom they belong to, and with the process that looks after them.

use std::process::Command;

use super::{Case, groups, id, is_alive};
use crate::support::{fail, succeed, until};

#[test]
fn instances_are_gone_when_their_owner_is_killed() {
    let mut case = Case::new();
    let instances = case.started(&["-n", "3", "--ready-tcp", "80"]);
    case.end_with_owner(&instances);
    assert!(case.listed().is_empty());
}

#[test]
fn an_instance_dies_with_the_process_that_looks_after_it() {
    let case = Case::new();
    let instance = &case.started(&["--ready-tcp", "80"])[0];
    let id = id(instance);
    let script = "for i in 1 2; do sleep 54321 >/dev/null 2>&1 & done";
    succeed(&mut case.exec(&id, &["sh", "-c", script]));
    succeed(Command::new("kill").arg("-9").arg(instance["supervisor"].to_string()));
    until("its processes are gone", || {
        crate::support::processes(|line| line == "sleep 54321").is_empty().then_some(())
    });
    until("the service is gone", || (!is_alive(&instance["pid"])).then_some(()));
    let error = fail(&mut case.exec(&id, &["ls"]), 1);
    assert!(error.contains("there is no instance"), "{error}");
    assert_eq!(case.directories(), std::slice::from_ref(&id));
    assert!(case.listed().is_empty());
    assert!(case.directories().is_empty() && groups(&id).is_empty());
}

#[test]
fn instances_of_nobody_stay_until_they_are_taken_down() {
    let case = Case::new();
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" up \"$@\"; exit $?", env!("CARGO_BIN_EXE_envserve")]).arg(&case.spec);
    command.args(["--owner-pid", "0", "--ready-tcp", "80"]);
    command.env("ENVSERVE_ROOT", case.world.path("client")).env("ENVSERVE_SERVE", &case.daemon.address);
    let printed = succeed(&mut command);
    let id = printed.split(' ').next().expect("a word");
    assert_eq!(succeed(&mut case.exec(id, &["echo", "there"])), "there");
    assert!(case.listed()[0]["owner"].is_null());
    succeed(case.command("down").arg(id));
    assert!(case.directories().is_empty() && groups(id).is_empty());
}

#[test]
fn the_owner_is_the_parent_unless_another_is_named() {
    let case = Case::new();
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" up \"$1\"; \"$0\" exec \"$(\"$0\" ps | cut -d' ' -f1)\" -- echo there"]);
    command.arg(env!("CARGO_BIN_EXE_envserve")).arg(&case.spec);
    command.env("ENVSERVE_ROOT", case.world.path("client")).env("ENVSERVE_SERVE", &case.daemon.address);
    let printed = succeed(&mut command);
    assert!(printed.ends_with("\nthere"), "{printed}");
    until("it is gone with the shell", || case.directories().is_empty().then_some(()));
}
