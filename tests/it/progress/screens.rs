//! What somebody sees at a terminal.

use serde_json::json;

use super::terminal::Terminal;
use super::{hostile, talk};
use crate::support::{Proxy, World, script, succeed};

/// Returns a line of the screen without what turns, and with every number the same.
fn still(screen: &str) -> String {
    let line = screen.trim().chars().map(|c| if ('\u{2800}'..='\u{28ff}').contains(&c) { '*' } else { c });
    let mut still = String::new();
    for c in line.map(|c| if c.is_ascii_digit() { '0' } else { c }) {
        if !(c == '0' && still.ends_with('0')) {
            still.push(c);
        }
    }
    still
}

#[test]
fn a_build_is_one_line_that_goes_when_it_is_over() {
    let world = World::new();
    let (spec, daemon) = (talk(&world), world.daemon());
    let terminal = Terminal::start(world.client_of(&daemon, "client").arg("fetch").arg(&spec), 80);
    let screen = terminal.until("the output of the build", |screen| screen.contains("step two"));
    insta::assert_snapshot!(still(&screen), @"* build talk: 0 of 0 actions done | step two");
    let ended = terminal.end();
    assert_eq!((ended.code, ended.screen.trim()), (Some(0), ""), "{}", ended.raw);
}

#[test]
fn a_download_says_how_much_how_fast_and_for_how_long() {
    let world = World::new();
    let make = "for n in $(seq 60); do head -c 100000 /dev/urandom >out/$n; done";
    let spec = world.spec("much", &json!({"much": script(&format!("mkdir out; {make}"), &["out"])}));
    let daemon = world.daemon();
    succeed(world.client_of(&daemon, "other").arg("fetch").arg("--absent").arg(&spec));
    let proxy = Proxy::new(&daemon.address);
    proxy.rate(1_000_000);
    let mut command = world.client("client");
    let terminal = Terminal::start(command.env("ENVSERVE_SERVE", &proxy.address).arg("fetch").arg(&spec), 80);
    let screen = terminal.until("a rate", |screen| screen.contains("/s, ") && screen.contains(" left"));
    // How fast a loaded machine is, only it knows.
    let still = still(&screen).replace("KiB", "MiB").replace("minute", "second").replace("second left", "seconds left");
    insta::assert_snapshot!(still, @"* fetching: 0.0 MiB of 0.0 MiB, 0.0 MiB/s, 0 seconds left");
    let ended = terminal.end();
    assert_eq!((ended.code, ended.screen.trim()), (Some(0), ""), "{}", ended.raw);
}

#[test]
fn what_a_build_prints_does_nothing_to_the_terminal() {
    let world = World::new();
    let (spec, daemon) = (hostile(&world), world.daemon());
    let terminal = Terminal::start(world.client_of(&daemon, "client").arg("fetch").arg(&spec), 80);
    let screen = terminal.until("the output of the build", |screen| screen.contains("evil"));
    insta::assert_snapshot!(still(&screen), @"* build hostile: 0 of 0 actions done | evil words");
    let ended = terminal.end();
    assert_eq!(ended.code, Some(16));
    assert!(ended.screen.contains("| evil words"), "the end of the log is shown: {}", ended.screen);
    for obeyed in ["\u{1b}[2J", "\u{1b}]0;", "\u{1b}]52;", "owned", "aGk="] {
        assert!(!ended.raw.contains(obeyed), "{obeyed:?} in {:?}", ended.raw);
    }
}

#[test]
fn a_line_fits_a_narrow_terminal() {
    let world = World::new();
    let (spec, daemon) = (talk(&world), world.daemon());
    let terminal = Terminal::start(world.client_of(&daemon, "client").arg("fetch").arg(&spec), 30);
    let screen = terminal.until("the build", |screen| screen.contains("build talk"));
    insta::assert_snapshot!(still(&screen), @"* build talk: 0 of 0 actions d");
    assert_eq!(terminal.end().screen.trim(), "");
}

#[test]
fn a_terminal_that_obeys_nothing_and_one_of_ci_get_whole_lines() {
    for (name, value) in [("TERM", "dumb"), ("CI", "true")] {
        let world = World::new();
        let (spec, daemon) = (talk(&world), world.daemon());
        let mut command = world.client_of(&daemon, "client");
        let ended = Terminal::start(command.arg("fetch").arg(&spec).env(name, value), 80).end();
        let lines = "sending the sources of `main`\r\nbuild talk: 0 of 1 actions done\r\n";
        assert_eq!(ended.raw, lines, "{name}={value}");
    }
}

#[test]
fn ci_that_is_switched_off_and_no_colour_leave_the_line_and_there_is_no_colour_in_it() {
    let world = World::new();
    let (spec, daemon) = (talk(&world), world.daemon());
    let mut command = world.client_of(&daemon, "client");
    let ended = Terminal::start(command.arg("fetch").arg(&spec).env("CI", "false").env("NO_COLOR", "1"), 80).end();
    assert!(ended.raw.contains("\u{1b}["), "the line changes: {:?}", ended.raw);
    let is_coloured = |(at, _): (usize, &str)| {
        let rest = &ended.raw[at + 2..];
        let end = rest.find(|c: char| ('@'..='~').contains(&c)).unwrap_or(0);
        rest[end..].starts_with('m') && !["", "0"].contains(&&rest[..end])
    };
    assert!(!ended.raw.match_indices("\u{1b}[").any(is_coloured), "{:?}", ended.raw);
}
