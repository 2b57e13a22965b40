//! What is refused, and what fails.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{ask, case, fail, run, text, told};

#[test]
fn a_command_restored_that_fails_is_told_with_what_it_says() {
    let case = case();
    for form in [&[][..], &["--form", "filesystem"]] {
        let error = fail(case.up(&["--env", "GIVEN=bad"]).args(form), 1);
        assert!(
            error.contains("the command `restored`, `python3 /srv/service.py copied` has failed: exit code 1"),
            "{error}"
        );
        assert!(error.contains("| this is not to be given") && !error.contains("instead of"), "{error}");
    }
    assert!(case.directories().is_empty());
    let instance = &told(&mut case.up(&[])).0[0];
    assert_eq!(ask(instance, "get"), "warm");
}

#[test]
fn what_is_part_of_a_checkpoint_cannot_be_given() {
    let case = case();
    for (given, what) in [(&["--ready-tcp", "80"][..], "a probe"), (&["--", "ls"], "a command")] {
        let error = fail(&mut case.up(given), 2);
        assert!(error.contains(&format!("{what} cannot be given for a checkpoint")), "{error}");
    }
    let error = fail(case.up(&["-e", "main", "", "image", "--form", "cold"]).args(["--", "ls"]), 2);
    assert!(error.contains("has no forms"), "{error}");
}

#[test]
fn an_ordinary_user_is_told_that_this_host_cannot() {
    let case = case();
    let error = fail(&mut case.up_as_nobody(), 15);
    assert!(error.contains("root"), "{error}");
}

#[test]
fn memory_that_was_changed_on_the_disk_is_never_woken_up() {
    let case = case();
    case.started(&["--form", "memory"]);
    let mut found = Command::new("find");
    found.arg(case.world.path("client/checkpoints")).args(["-path", "*/memory/images/*", "-size", "+16k"]);
    let found = run(&mut found);
    let images: Vec<PathBuf> = text(&found.stdout).lines().map(PathBuf::from).collect();
    assert!(!images.is_empty());
    for image in &images {
        let good = fs::read(image).expect("readable");
        let mut bad = good.clone();
        bad[good.len() / 2..][..64].fill(0xa5);
        fs::write(image, &bad).expect("root");
        let (instances, _) = told(&mut case.up(&["--form", "memory"]));
        assert_eq!(ask(&instances[0], "get"), "warm");
        assert!(fs::read(image).expect("readable") == good, "it was unpacked once more");
    }
}
