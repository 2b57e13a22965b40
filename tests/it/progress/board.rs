//! What somebody sees of many environments that are filled at once.

use rustix::process::Signal;
use serde_json::{Map, json};

use super::Stage;
use super::screens::still;
use super::terminal::Terminal;

const COUNT: usize = 12;

fn many(stage: &Stage) {
    let names = (0..COUNT).map(|n| (format!("e{n}"), stage.waiting(&format!("echo of {n}"), "echo x >out")));
    stage.world.spec("e0", &json!(names.collect::<Map<_, _>>()));
}

#[test]
fn those_that_run_have_a_line_each_as_far_as_there_is_room() {
    let stage = Stage::new();
    many(&stage);
    let mut command = stage.client("client");
    command.current_dir(stage.world.path("")).args(["prefill", "--all", "spec.json"]);
    let terminal = Terminal::start(&mut command, (8, 70));
    let is_full = |screen: &str| screen.matches("| of ").count() == 6 && screen.contains("more run");
    let screen = still(&terminal.until("six lines and the whole", is_full));
    let mut lines: Vec<&str> = screen.lines().filter(|line| line.starts_with('*')).collect();
    let whole = lines.pop().expect("a line for the whole");
    insta::assert_snapshot!(whole, @"* 0 of 0 done, 0 seconds, 0 more run");
    assert_eq!(lines, ["* e0 of spec.json: build e0: 0 of 0 actions done | of 0"; 6], "{screen}");
    stage.go();
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.raw);
    assert!(!ended.screen.contains("done,"), "the lines are gone: {}", ended.screen);
}

#[test]
fn a_prefill_that_is_broken_off_leaves_no_line() {
    let stage = Stage::new();
    many(&stage);
    let mut command = stage.client("client");
    command.current_dir(stage.world.path("")).args(["prefill", "--all", "spec.json"]);
    let terminal = Terminal::start(&mut command, (24, 70));
    terminal.until("the lines", |screen| screen.contains("| of "));
    terminal.signal(Signal::TERM);
    let ended = terminal.end();
    assert_eq!(ended.code, Some(143), "{}", ended.raw);
    assert!(!ended.screen.contains("actions done"), "{}", ended.screen);
    stage.go();
}
