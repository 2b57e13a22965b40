//! What a program gets: `--events jsonl`.

use std::process::Command;

use serde_json::{Value, json};

use super::Stage;
use crate::support::{fail, run, succeed, text};

/// Runs a command and returns its exit code, its stdout, and the objects on its stderr.
fn events(command: &mut Command) -> (Option<i32>, String, Vec<Value>) {
    let output = run(command.env("ENVSERVE_EVENTS", "jsonl"));
    let stderr = text(&output.stderr);
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let events: Vec<Value> = stderr.lines().map(object).collect();
    assert!(events.iter().all(|event| event["version"] == 1), "{stderr}");
    let times: Vec<u64> = events.iter().map(|event| event["ms"].as_u64().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(names(&events)[0], "begin");
    assert!(events[0]["unix_ms"].as_u64().is_some_and(|time| time > 1_700_000_000_000), "{stderr}");
    assert_eq!(events.last().expect("the end")["exit"].as_i64(), output.status.code().map(i64::from));
    (output.status.code(), text(&output.stdout), events)
}

fn names(events: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = events.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    names.dedup();
    names
}

#[test]
fn a_build_and_a_download_are_told_from_begin_to_end() {
    let stage = Stage::new();
    stage.go();
    let (code, stdout, told) = events(stage.client("client").args(["fetch", "-c", "NONE=x"]).arg(stage.talk()));
    assert_eq!(code, Some(0), "{told:?}");
    assert!(std::path::Path::new(stdout.trim()).join("out").exists(), "stdout is as ever: {stdout}");
    // The state of a build is told of when somebody looks: before its roots are sent there may be none to see.
    let others: Vec<Value> = told.iter().filter(|event| event["event"] != "build").cloned().collect();
    assert_eq!(names(&others), ["begin", "unknown_variable", "upload", "answer", "download", "done"]);
    let of = |name: &str| told.iter().rev().find(|event| event["event"] == name).expect("told");
    assert_eq!(of("answer")["hit"], json!(false));
    assert_eq!(of("build")["environment"], "talk");
    assert_eq!((&of("download")["done"], &of("download")["total"]), (&json!(2), &json!(2)));
}

#[test]
fn an_error_is_an_event_and_the_exit_code_another() {
    let stage = Stage::new();
    stage.go();
    let (code, _, told) = events(stage.client("client").arg("fetch").arg(stage.hostile()));
    assert_eq!(code, Some(16));
    let [.., error, done] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&error["event"], &done["event"]), (&json!("error"), &json!("done")));
    assert!(error["log"].as_str().is_some_and(|log| log.contains("evil")), "{error}");
    for (arguments, code) in [(["fetch", "none.json"].as_slice(), 1), (&["fetch", "--compression", "gzip", "x"], 2)] {
        let (ended, _, told) = events(stage.client("client").args(arguments));
        assert_eq!((ended, names(&told)), (Some(code), vec!["begin", "error", "done"]), "{arguments:?}");
    }
}

#[test]
fn the_log_is_told_of_as_events_too() {
    let stage = Stage::new();
    stage.go();
    let spec = stage.talk();
    let (code, _, told) = events(stage.client("client").arg("fetch").arg(&spec).env("ENVSERVE_LOG", "trace"));
    assert_eq!(code, Some(0));
    let is_record =
        |event: &&Value| event["event"] == "log" && event["text"].as_str().is_some_and(|text| text.len() > 9);
    let record = told.iter().find(is_record).expect("a client connects, which is logged");
    assert!(["trace", "debug", "info"].contains(&record["level"].as_str().expect("a level")), "{record}");
}

#[test]
fn the_variable_may_be_empty_and_the_option_outdoes_it() {
    let stage = Stage::new();
    stage.go();
    let spec = stage.talk();
    succeed(stage.client("client").arg("fetch").arg(&spec).env("ENVSERVE_EVENTS", ""));
    let mut command = stage.client("client");
    let error = fail(command.args(["fetch", "--events", "text", "none.json"]).env("ENVSERVE_EVENTS", "jsonl"), 1);
    assert!(error.starts_with("error: "), "{error}");
    let error = fail(stage.client("client").args(["fetch", "--events", "xml"]).arg(&spec), 2);
    assert!(error.contains("jsonl"), "{error}");
}
