//! What a program gets: `--events jsonl`.

use std::process::Command;

use serde_json::{Value, json};

use super::{hostile, talk};
use crate::support::{World, run, text};

/// Runs a command and returns its exit code, its stdout, and the objects on its stderr.
fn events(command: &mut Command) -> (Option<i32>, String, Vec<Value>) {
    let output = run(command.args(["--events", "jsonl"]));
    let stderr = text(&output.stderr);
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let events: Vec<Value> = stderr.lines().map(object).collect();
    assert!(events.iter().all(|event| event["version"] == 1), "{stderr}");
    let times: Vec<u64> = events.iter().map(|event| event["ms"].as_u64().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    (output.status.code(), text(&output.stdout), events)
}

fn names(events: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = events.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    names.dedup();
    names
}

#[test]
fn a_build_and_a_download_are_told_from_begin_to_end() {
    let world = World::new();
    let (spec, daemon) = (talk(&world), world.daemon());
    let (code, stdout, told) = events(world.client_of(&daemon, "client").args(["fetch", "-c", "NONE=x"]).arg(&spec));
    assert_eq!(code, Some(0), "{told:?}");
    assert!(std::path::Path::new(stdout.trim()).join("out").exists(), "stdout is as ever: {stdout}");
    assert_eq!(names(&told), ["unknown_variable", "build", "upload", "build", "answer", "download", "done"]);
    let of = |name: &str| told.iter().rev().find(|event| event["event"] == name).expect("told");
    assert_eq!(of("answer")["hit"], json!(false));
    assert_eq!(of("build")["environment"], "talk");
    assert_eq!((&of("download")["done"], &of("download")["total"]), (&json!(2), &json!(2)));
    assert_eq!(of("done")["exit"], json!(0));
}

#[test]
fn an_error_is_an_event_and_the_exit_code_another() {
    let world = World::new();
    let (spec, daemon) = (hostile(&world), world.daemon());
    let (code, _, told) = events(world.client_of(&daemon, "client").arg("fetch").arg(&spec));
    assert_eq!(code, Some(16));
    let [.., error, done] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&error["event"], &done["event"], &done["exit"]), (&json!("error"), &json!("done"), &json!(16)));
    assert!(error["log"].as_str().is_some_and(|log| log.contains("evil")), "{error}");

    let (code, _, told) = events(world.client_of(&daemon, "client").args(["fetch", "none.json"]));
    assert_eq!((code, names(&told)), (Some(1), vec!["error", "done"]));
    assert_eq!(told[0]["causes"].as_array().map(Vec::len), Some(1), "{told:?}");
}
