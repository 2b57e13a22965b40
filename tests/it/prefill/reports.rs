//! Reports: written whatever becomes of the work, and refused before it when they cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use super::Farm;
use crate::support::{World, fail, object, run, succeed, text};

/// Reads a report by a program that others read theirs with, and prints what it finds.
const READ: &str = r"
import json, sys
from junitparser import JUnitXml
report = JUnitXml.fromfile(sys.argv[1])
cases = []
for suite in report:
    for case in suite:
        results = [[type(result).__name__, result.type, result.message, result.text] for result in case.result]
        cases.append([suite.name, case.classname, case.name, results])
print(json.dumps([[report.name, report.tests, report.failures, report.errors, report.skipped], cases]))
";

#[test]
fn a_consumer_of_junit_reads_what_became_of_each_item() {
    let farm = Farm::new();
    let control = "printf 'a <b> & \"c\" ]]> \\033[31m\\001 é\\n'; exit 3";
    farm.environments(&json!({"good": farm.counted("good", "echo x >out"), "bad": farm.counted("bad", control)}));
    farm.spec("a & <b>.json", "bad");
    farm.world.write("broken.json", "{");
    let arguments = ["a & <b>.json", "broken.json", "--all", "--sources", "--report", "r.xml", "--report", "r.json"];
    let printed = farm.fill("ci", &arguments);
    let read = object(Command::new("/usr/bin/python3").args(["-c", READ]).arg(farm.world.path("r.xml")));
    assert_eq!(read[0], json!(["envserve prefill", 4, 1, 1, 0]), "{read}");
    let case = |number: usize| &read[1][number];
    let suite = "a & <b>.json";
    assert_eq!((&case(0)[0], &case(0)[1]), (&json!("broken.json"), &json!("broken.json")), "{read}");
    assert_eq!((&case(0)[3][0][0], &case(0)[3][0][1]), (&json!("Error"), &json!("error")));
    assert_eq!((&case(1)[0], &case(1)[2]), (&json!(suite), &json!("bad")));
    let failure = &case(1)[3][0];
    assert_eq!((&failure[0], &failure[1]), (&json!("Failure"), &json!("build-failed")), "{read}");
    let log = failure[3].as_str().expect("a text");
    assert!(log.contains("a <b> & \"c\" ]]>  é"), "{log}");
    assert_eq!(case(2).as_array().expect("a list")[2..], [json!("good"), json!([])]);
    assert_eq!(case(3).as_array().expect("a list")[2..], [json!("sources"), json!([])]);
    succeed(Command::new("xmllint").arg("--noout").arg(farm.world.path("r.xml")));

    let written: Value = serde_json::from_slice(&fs::read(farm.world.path("r.json")).expect("there")).expect("JSON");
    assert_eq!(written, printed, "what is printed is the report");
    assert_eq!(written["version"], 1);
    let mode = fs::metadata(farm.world.path("r.json")).expect("there").permissions().mode();
    assert_eq!(mode & 0o400, 0o400);
    assert_eq!(left(&farm.world), 0, "nothing else is left");
}

/// Returns how many files there are that a report was to become.
fn left(world: &World) -> usize {
    let entries = fs::read_dir(world.path("")).expect("there");
    entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(".tmp")).count()
}

#[test]
fn a_report_that_cannot_be_written_is_told_of_before_any_work() {
    let farm = Farm::new();
    farm.environments(&json!({"one": farm.counted("one", "echo x >out")}));
    let spec = farm.spec("spec.json", "one");
    farm.world.write("directory/x", "");
    for report in ["nowhere/r.xml", "directory", "spec.json/r.json", "/proc/r.json"] {
        let mut command = farm.command("ci");
        command.arg(&spec).args(["--report", "good.json", "--report", report]).current_dir(farm.world.path(""));
        let stderr = fail(&mut command, 1);
        assert!(stderr.starts_with(&format!("error: cannot write the report `{report}`")), "{stderr}");
    }
    assert_eq!(farm.counts(), [""; 0]);
    assert!(!farm.daemon.log().contains("rpc="), "nobody was asked: {}", farm.daemon.log());
    assert_eq!((farm.world.path("good.json").exists(), left(&farm.world)), (false, 0));
}

#[test]
fn without_a_server_the_exit_code_says_so_and_the_report_is_there() {
    let world = World::new();
    world.spec("one", &json!({"one": {"type": "tree", "inputs": {}}}));
    world.write("broken.json", "[]");
    for strict in [&[][..], &["--strict"]] {
        let mut command = world.client("ci");
        command.env("ENVSERVE_SERVE", "127.0.0.1:1").args(["prefill", "broken.json", "spec.json", "--all"]);
        command.args(["--matrix", "A=x,y", "--report", "r.json"]).args(strict).current_dir(world.path(""));
        let output = run(&mut command);
        assert_eq!(output.status.code(), Some(11), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&fs::read(world.path("r.json")).expect("there")).expect("JSON");
        assert_eq!(report["totals"]["failed"], 3, "{report}");
        let classes: Vec<&Value> = (0..3).map(|number| &report["items"][number]["error"]["class"]).collect();
        assert_eq!(classes, [&json!("error"), &json!("unavailable"), &json!("unavailable")], "{report}");
        assert_eq!(report["items"][1]["error"]["exit_code"], 11);
        assert!(text(&output.stderr).contains("127.0.0.1:1"), "{}", text(&output.stderr));
    }
}
