//! What a log gets.

use std::process::Command;

use super::Stage;
use crate::support::{fail, run, text};

fn said(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn what_takes_time_is_a_line_and_what_is_there_is_none() {
    let stage = Stage::new();
    stage.go();
    let spec = stage.talk();
    let fetch = |root| said(stage.client(root).arg("fetch").arg(&spec));
    assert_eq!(fetch("client"), "sending the sources of `main`\nbuild talk: 0 of 1 actions done\n");
    assert_eq!(fetch("client"), "", "it is here");
    assert_eq!(fetch("other"), "", "a hit takes no time");
}

#[test]
fn who_wants_quiet_hears_only_what_goes_wrong() {
    let stage = Stage::new();
    stage.go();
    let spec = stage.talk();
    for verb in ["fetch", "key", "plan", "explain", "describe"] {
        let mut command = stage.client(verb);
        assert_eq!(said(command.args([verb, "-q", "-c", "NONE=x"]).arg(&spec)), "", "{verb}");
    }
    let error = fail(stage.client("client").args(["fetch", "-q", "none.json"]), 1);
    assert!(error.starts_with("error: cannot read the spec"), "{error}");
}
