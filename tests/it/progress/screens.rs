//! What somebody sees at a terminal.

use rustix::process::Signal;
use serde_json::json;

use super::Stage;
use super::terminal::{COMMON, Terminal};
use crate::support::{Proxy, script, succeed};

/// Returns a screen without what turns, with every number the same, and without how long something has taken.
pub(super) fn still(screen: &str) -> String {
    let screen = screen.trim().chars().map(|c| if ('\u{2800}'..='\u{28ff}').contains(&c) { '*' } else { c });
    let mut still = String::new();
    for c in screen.map(|c| if c.is_ascii_digit() { '0' } else { c }) {
        if !(c == '0' && still.ends_with('0')) {
            still.push(c);
        }
    }
    still.replace("0 second,", "0 seconds,").replace(", for 0 seconds", "")
}

#[test]
fn a_build_is_one_line_that_goes_when_it_is_over() {
    let stage = Stage::new();
    let terminal = Terminal::start(stage.client("client").arg("fetch").arg(stage.talk()), COMMON);
    let screen = terminal.until("the output of the build", |screen| screen.contains("step two"));
    insta::assert_snapshot!(still(&screen), @"* build talk: 0 of 0 actions done | step two");
    stage.go();
    let ended = terminal.end();
    assert_eq!((ended.code, ended.screen.trim()), (Some(0), ""), "{}", ended.raw);
}

#[test]
fn a_build_that_is_broken_off_leaves_nothing_on_the_screen() {
    let stage = Stage::new();
    let terminal = Terminal::start(stage.client("client").arg("fetch").arg(stage.talk()), COMMON);
    terminal.until("the output of the build", |screen| screen.contains("step two"));
    terminal.signal(Signal::INT);
    let ended = terminal.end();
    assert_eq!((ended.code, ended.screen.trim()), (Some(130), ""), "{}", ended.raw);
    stage.go();
}

#[test]
fn a_download_says_how_much_how_fast_and_for_how_long() {
    let stage = Stage::new();
    let make = "mkdir out; for n in $(seq 60); do head -c 100000 /dev/urandom >out/$n; done";
    let spec = stage.world.spec("much", &json!({"much": script(make, &["out"])}));
    succeed(stage.client("other").arg("fetch").arg("--absent").arg(&spec));
    let proxy = Proxy::new(&stage.daemon.address);
    proxy.rate(1_000_000);
    let mut command = stage.world.client("client");
    let terminal = Terminal::start(command.env("ENVSERVE_SERVE", &proxy.address).arg("fetch").arg(&spec), COMMON);
    let screen = terminal.until("a rate", |screen| screen.contains("/s, ") && screen.contains(" left"));
    let still = still(&screen).replace("KiB", "MiB").replace("second left", "seconds left");
    insta::assert_snapshot!(still, @"* fetching: 0.0 MiB of 0.0 MiB, 0.0 MiB/s, 0 seconds left");
    let ended = terminal.end();
    assert_eq!((ended.code, ended.screen.trim()), (Some(0), ""), "{}", ended.raw);
}

#[test]
fn a_line_fits_a_narrow_terminal() {
    let stage = Stage::new();
    let terminal = Terminal::start(stage.client("client").arg("fetch").arg(stage.talk()), (24, 30));
    let screen = terminal.until("the build", |screen| screen.contains("build talk"));
    insta::assert_snapshot!(still(&screen), @"* build talk: 0 of 0 actions d");
    stage.go();
    let ended = terminal.end();
    assert_eq!((ended.code, ended.screen.trim()), (Some(0), ""), "{}", ended.raw);
}

#[test]
fn a_warning_stands_above_the_line_and_stays() {
    let stage = Stage::new();
    let spec = stage.talk();
    let mut command = stage.client("client");
    let terminal = Terminal::start(command.args(["fetch", "-c", "NONE=x"]).arg(spec), (24, 150));
    terminal.until("the output of the build", |screen| screen.contains("step two"));
    stage.go();
    let screen = terminal.end().screen;
    insta::assert_snapshot!(screen.trim(), @"warning: environment `talk` has no variable `NONE`, so it changes nothing: there is none that it has");
}

#[test]
fn a_terminal_that_obeys_nothing_and_one_of_ci_get_whole_lines() {
    for (name, value) in [("TERM", "dumb"), ("TERM", ""), ("CI", "true")] {
        let stage = Stage::new();
        stage.go();
        let mut command = stage.client("client");
        let ended = Terminal::start(command.arg("fetch").arg(stage.talk()).env(name, value), COMMON).end();
        let lines = "sending the sources of `main`\r\nbuild talk: 0 of 1 actions done\r\n";
        assert_eq!(ended.raw, lines, "{name}={value}");
    }
}

#[test]
fn ci_that_is_switched_off_and_no_colour_leave_the_line_and_there_is_no_colour_in_it() {
    let stage = Stage::new();
    let mut command = stage.client("client");
    command.arg("fetch").arg(stage.talk()).env("CI", "false").env("NO_COLOR", "1");
    let terminal = Terminal::start(&mut command, COMMON);
    terminal.until("the line", |screen| screen.contains("step two"));
    stage.go();
    let ended = terminal.end();
    assert!(ended.raw.contains("\u{1b}["), "the line changes: {:?}", ended.raw);
    let is_coloured = |(at, _): (usize, &str)| {
        let rest = &ended.raw[at + 2..];
        let end = rest.find(|c: char| ('@'..='~').contains(&c)).unwrap_or(0);
        rest[end..].starts_with('m') && !["", "0"].contains(&&rest[..end])
    };
    assert!(!ended.raw.match_indices("\u{1b}[").any(is_coloured), "{:?}", ended.raw);
}
