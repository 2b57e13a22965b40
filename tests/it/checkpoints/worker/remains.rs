//! What is left of a worker that was killed: nothing that runs, and nothing for long.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use super::{Case, command, left};
use crate::support::{criu, processes, text, until};

/// Kills a worker when it has said something, and returns its number.
fn killed_after(case: &Case, line: &str) -> u32 {
    let mut child = case.worker().spawn().expect("it starts");
    let stderr = BufReader::new(child.stderr.take().expect("piped"));
    let said = stderr.lines().map_while(Result::ok).find(|said| said.starts_with(line));
    assert!(said.is_some(), "`{line}` is not said");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    child.id()
}

/// Waits until nothing of a worker runs, and has another one clear up the rest.
fn gone(case: &Case, worker: u32) {
    let name = format!("checkpoint-{worker}-");
    until("nothing of it runs", || processes(|line| line.contains(&name)).is_empty().then_some(()));
    fs::remove_dir_all(case.path("work")).expect("nothing holds it");
    case.order(&json!({"cmd": ["/nowhere"]}));
    case.failed(1);
    assert_eq!(left(worker), Vec::<String>::new());
}

#[test]
fn a_killed_worker_takes_everything_with_it() {
    let script = "echo is ready; while :; do sleep 0.1; done";
    let case = Case::of_shell(&json!({"cmd": ["sh", "-c", script], "warmup": [command("exec sleep 98761")]}));
    let worker = killed_after(&case, "ready after ");
    until("the warm-up is dead", || processes(|line| line == "sleep 98761").is_empty().then_some(()));
    gone(&case, worker);

    case.order(&json!({"cmd": ["sh", "-c", script], "warmup": [command("sleep 3")]}));
    let worker = killed_after(&case, "form memory: ");
    gone(&case, worker);
}

#[test]
fn a_worker_that_is_killed_while_criu_works_leaves_no_process() {
    let script = "echo is ready; while :; do sleep 0.1; done";
    let case = Case::of_shell(&json!({"cmd": ["sh", "-c", script]}));
    let started = case.world.path("started");
    let hangs = format!("[ \"$1\" != swrk ] || {{ touch '{}'; exec sleep 98762; }}", started.display());
    let mut child = case.worker().env("ENVSERVE_CRIU", case.criu_that(&hangs)).spawn().expect("it starts");
    until("CRIU is started", || {
        assert!(child.try_wait().expect("it is ours").is_none(), "it does not get there");
        started.exists().then_some(())
    });
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    until("CRIU is dead", || processes(|line| line == "sleep 98762").is_empty().then_some(()));
    gone(&case, child.id());
}

#[test]
fn in_a_directory_that_cannot_be_laid_under_a_layer_it_works_elsewhere_and_leaves_nothing_there() {
    let script = "echo is ready; while :; do sleep 0.1; done";
    let case = Case::of_shell(&json!({"cmd": ["sh", "-c", script]}));
    // An overlay is not id-mapped.
    let over = "mkdir upper work-of-it && mount -t overlay -o lowerdir=action,upperdir=upper,workdir=work-of-it x action \
                && cd action && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", over, "sh"]).arg(case.worker().get_program()).arg("make-checkpoint");
    command.current_dir(case.world.path("")).env("ENVSERVE_CRIU", criu()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it starts");
    let process = child.id();
    let output = child.wait_with_output().expect("it ends");
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with("working in `/var/tmp/envserve-checkpoints/"), "{said}");
    assert_eq!(left(process), Vec::<String>::new());
    let names = fs::read_dir(case.world.path("upper")).expect("there").flatten().map(|entry| entry.file_name());
    assert_eq!(names.filter(|name| name != "made").count(), 0);
    assert!(case.world.path("upper/made/outcome.json").exists());
}
