//! In which form copies start, and what they are told.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{ask, case, fail, succeed, told};
use crate::instances::{Case, id};
use crate::support::criu;

/// Writes a program that is CRIU, but does this first when it is asked for its version, and that when it is to work.
fn other_criu(case: &Case, version: &str, work: &str) -> PathBuf {
    let real = format!("'{}'", criu().display());
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in\n--version) :; {version} ;;\nswrk) :; {work} ;;\nesac\nexec {real} \"$@\"\n"
    );
    let path = case.world.write("other/criu", script);
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("temporary");
    path
}

#[test]
fn each_form_can_be_asked_for_and_tells_the_copy_what_it_is() {
    let case = case();
    for (form, of_command) in [("memory", "-"), ("filesystem", "given"), ("cold", "given")] {
        let (instances, said) = told(&mut case.up(&["--form", form, "--env", "GIVEN=given"]));
        let instance = &instances[0];
        assert_eq!(instance["form"], form);
        assert!(said.contains("as asked for"), "{said}");
        assert_eq!((ask(instance, "get").as_str(), ask(instance, "file").as_str()), ("warm", "warm"));
        let generation = instance["generation"].as_str().expect("a text");
        assert_eq!(generation.len(), 36);
        assert_eq!(ask(instance, "told_by"), format!("{generation} {} {form} given its", id(instance)));
        // What is in memory has the variables that it had.
        assert_eq!(ask(instance, "env GIVEN"), of_command);
        assert_eq!(
            succeed(&mut case.exec(&id(instance), &["python3", "-c", "import os; print(os.environ['GIVEN'])"])),
            "given"
        );
    }
}

#[test]
fn the_fastest_form_is_taken_and_said() {
    let case = case();
    let (instances, said) = told(&mut case.up(&[]));
    assert_eq!(instances[0]["form"], "memory");
    let notes: Vec<&str> = said.lines().filter(|line| line.starts_with("note: ")).collect();
    assert_eq!(notes.len(), 1, "{said}");
    assert!(notes[0].starts_with("note: memory: ") && notes[0].contains("cold"), "{said}");
}

#[test]
fn without_criu_or_with_another_one_the_file_system_form_is_taken_and_said() {
    let case = case();
    let none = case.world.path("none");
    let other = other_criu(&case, "echo 'Version: 4.9'; exit", "");
    for (criu, reason) in [(none, "none"), (other, "CRIU version: 4.2.1 there, 4.9 here")] {
        let (instances, said) = told(case.up(&[]).env("ENVSERVE_CRIU", &criu));
        assert_eq!(instances[0]["form"], "filesystem");
        assert!(said.contains(reason), "{said}");
        assert_eq!(ask(&instances[0], "get"), "warm");
        let error = fail(case.up(&["--form", "memory"]).env("ENVSERVE_CRIU", &criu), 15);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_form_that_does_not_start_is_replaced_by_the_next_one_unless_it_was_asked_for() {
    let case = case();
    let broken = other_criu(&case, "", "exit 1");
    let (instances, said) = told(case.up(&["-n", "2"]).env("ENVSERVE_CRIU", &broken));
    assert!(instances.iter().all(|instance| instance["form"] == "filesystem"), "{instances:?}");
    assert!(said.contains("note: filesystem instead of memory, which does not start here: "), "{said}");
    assert_eq!(ask(&instances[0], "get"), "warm");
    succeed(case.command("down").arg("--all"));
    let error = fail(case.up(&["--form", "memory"]).env("ENVSERVE_CRIU", &broken), 1);
    assert!(error.contains("cannot be woken up"), "{error}");
    assert!(case.directories().is_empty());
}
