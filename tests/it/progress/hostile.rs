//! Text of others never reaches the terminal as anything but text.

use super::Stage;
use super::screens::still;
use super::terminal::{COMMON, Terminal};
use crate::support::fail;

#[test]
fn what_a_build_prints_does_nothing_to_the_terminal() {
    let stage = Stage::new();
    let terminal = Terminal::start(stage.client("client").arg("fetch").arg(stage.hostile()), COMMON);
    let screen = terminal.until("the output of the build", |screen| screen.contains("evil"));
    insta::assert_snapshot!(still(&screen), @"* build hostile: 0 of 0 actions done | evil words");
    stage.go();
    let ended = terminal.end();
    assert_eq!(ended.code, Some(16));
    assert!(ended.screen.contains("| evil words"), "the end of the log is shown: {}", ended.screen);
    for obeyed in ["\u{1b}[2J", "\u{1b}]0;", "\u{1b}]52;", "owned", "aGk="] {
        assert!(!ended.raw.contains(obeyed), "{obeyed:?} in {:?}", ended.raw);
    }
}

#[test]
fn names_in_errors_and_warnings_do_nothing_to_the_terminal() {
    let stage = Stage::new();
    let (spec, evil) = (stage.talk(), "x\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}2Jy");
    stage.go();
    for arguments in [["-e", "main", "", evil].as_slice(), &["-c", &format!("{evil}=1"), "-e", "main", "", "none"]] {
        let stderr = fail(stage.client("client").arg("fetch").args(arguments).arg(&spec), 1);
        assert!(!stderr.contains(|c: char| c.is_control() && c != '\n'), "{stderr:?}");
    }
    let named = stage.world.write(&format!("{evil}.json"), "no spec");
    let stderr = fail(stage.client("client").arg("fetch").arg(named), 1);
    assert!(!stderr.contains(|c: char| c.is_control() && c != '\n'), "{stderr:?}");
}
