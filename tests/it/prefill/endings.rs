//! A prefill, or its server, that ends at any moment: what was done is not done again.

use std::fs;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Farm, expected, outcomes, totals};
use crate::support::{text, until};

/// An environment that is done at once, one that takes until a file appears, and one that uses both.
fn slow(farm: &Farm) {
    let go = farm.world.path("go").display().to_string();
    let wait = format!(
        "until [ -e {go} ]; do sleep 0.02; done; echo slow-done >>{}; echo x >out",
        farm.world.path("counter").display()
    );
    let mut uses = farm.counted("uses", "cat quick/out slow/out >out");
    uses["inputs"] = json!({"quick": {"env": "quick"}, "slow": {"env": "slow"}});
    farm.environments(&json!({
        "uses": uses, "quick": farm.counted("quick", "echo x >out"), "slow": farm.counted("slow", &wait),
    }));
    farm.spec("spec.json", "uses");
}

fn start(farm: &Farm, arguments: &[&str]) -> Child {
    let mut command = farm.command("ci");
    command.args(["spec.json", "--all", "--report", "r.json"]).args(arguments).current_dir(farm.world.path(""));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is there")
}

/// Waits until the quick one is in the cache, and the slow one runs.
fn in_the_middle(farm: &Farm) {
    until("the action in the middle", || farm.counts().contains(&"slow".to_owned()).then_some(()));
    until("the first build", || (farm.daemon.builds() == 1).then_some(()));
}

fn go(farm: &Farm) {
    farm.world.write("go", "");
}

#[test]
fn after_a_kill_the_next_prefill_goes_on_and_no_action_is_repeated() {
    let farm = Farm::new();
    slow(&farm);
    for _ in 0..3 {
        let mut child = start(&farm, &[]);
        in_the_middle(&farm);
        child.kill().expect("running");
        child.wait().expect("running");
        assert!(!farm.world.path("r.json").exists(), "there is no half a report");
    }
    go(&farm);
    let report = farm.fill("ci", &["spec.json", "--all"]);
    assert_eq!(report["totals"]["failed"], 0, "{report}");
    assert_eq!(farm.counts(), ["quick", "slow", "slow-done", "uses"]);
    assert_eq!(farm.daemon.builds(), 3);
    assert_eq!(farm.fill("ci", &["spec.json", "--all"])["totals"], totals(3, 0, 0));
    assert_eq!(farm.counts().len(), 4);
}

#[test]
fn after_the_server_was_killed_only_what_it_had_not_ended_runs_again() {
    let mut farm = Farm::new();
    slow(&farm);
    let child = start(&farm, &[]);
    in_the_middle(&farm);
    farm.daemon = farm.daemon.kill_and_restart();
    let output = child.wait_with_output().expect("it ran");
    let report: Value = serde_json::from_slice(&fs::read(farm.world.path("r.json")).expect("there")).expect("JSON");
    // Whether the client had heard of the first one is a matter of milliseconds.
    let heard = report["items"][0]["outcome"] == "built";
    assert_eq!(output.status.code(), Some(if heard { 0 } else { 11 }), "{}", text(&output.stderr));
    assert_eq!(outcomes(&report)[1..], expected(&[("slow", "failed"), ("uses", "failed")]), "{report}");
    assert_eq!(report["items"][1]["error"]["class"], "unavailable", "{report}");
    go(&farm);
    let report = farm.fill("ci", &["spec.json", "--all"]);
    assert_eq!(outcomes(&report), expected(&[("quick", "hit"), ("slow", "built"), ("uses", "built")]), "{report}");
    let counts = farm.counts();
    let done = |name: &str| counts.iter().filter(|count| *count == name).count();
    assert_eq!((done("quick"), done("uses"), done("slow")), (1, 1, 2), "{counts:?}");
}

#[test]
fn a_server_that_comes_back_is_waited_for_in_the_middle() {
    let mut farm = Farm::new();
    slow(&farm);
    let address = farm.daemon.address.clone();
    let proxy = crate::support::Proxy::new(&address);
    let mut command = farm.command("ci");
    command.env("ENVSERVE_SERVE", &proxy.address).args(["spec.json", "--all", "--on-unavailable", "wait", "--strict"]);
    command.current_dir(farm.world.path("")).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().expect("the binary is there");
    in_the_middle(&farm);
    farm.daemon = farm.daemon.kill_and_restart();
    proxy.lead_to(&farm.daemon.address);
    go(&farm);
    let output = child.wait_with_output().expect("it ran");
    let stdout = text(&output.stdout);
    assert!(output.status.success() && stdout.contains("3 items: ") && stdout.contains(" 0 failed"), "{stdout}");
    assert_eq!(farm.counts().iter().filter(|count| *count == "quick").count(), 1);
}

#[test]
fn a_signal_leaves_a_report_of_what_was_done_until_then() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let farm = Farm::new();
        slow(&farm);
        let child = start(&farm, &["--report", "r.xml"]);
        in_the_middle(&farm);
        // The answer to the first is on its way to the client, which tells of each that has ended.
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("running");
        let output = child.wait_with_output().expect("it ran");
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&fs::read(farm.world.path("r.json")).expect("there")).expect("JSON");
        assert_eq!((&report["interrupted"], &report["totals"]["items"]), (&json!(true), &json!(3)), "{report}");
        assert_eq!(report["items"][1]["outcome"], "unfinished", "{report}");
        assert!(report["items"][1]["key"].is_string(), "{report}");
        let junit = fs::read_to_string(farm.world.path("r.xml")).expect("there");
        assert!(junit.contains("<skipped message"), "{junit}");
        assert!(text(&output.stdout).contains(" unfinished\n"), "{}", text(&output.stdout));
        go(&farm);
    }
}
