//! What fails among many: the others go on.

use serde_json::{Value, json};

use super::{Farm, totals};
use crate::support::{World, fail, run, text};

#[test]
fn each_that_fails_is_named_with_its_error_and_the_others_are_filled() {
    let farm = Farm::new();
    farm.environments(&json!({
        "good": farm.counted("good", "echo x >out"),
        "bad": farm.counted("bad", "echo the last words; exit 3"),
        "uses": {"type": "tree", "inputs": {"in": {"env": "bad"}}},
    }));
    for (file, name) in [("bad", "bad"), ("good", "good"), ("uses", "uses"), ("no", "none"), ("also", "good")] {
        farm.spec(&format!("specs/{file}.json"), name);
    }
    farm.world.write("specs/broken.json", "{\"environment\": 1}");
    let loose = json!({"environment": ["main", "", "good"], "repositories": {
        "main": {"repository": {"type": "file", "path": farm.world.path("source")}}}});
    farm.world.write("specs/loose.json", loose.to_string());
    let report = farm.fill("ci", &["specs", "specs/gone.json", "--report", "r.json"]);
    assert_eq!(report["totals"], totals(0, 2, 6), "{report}");
    let item = |file: &str| -> Value {
        let items = report["items"].as_array().expect("a list");
        items.iter().find(|item| item["spec"] == format!("specs/{file}.json")).expect("there").clone()
    };
    let class = |file: &str| item(file)["error"]["class"].clone();
    for (file, expected) in [
        ("bad", "build-failed"),
        ("uses", "build-failed"),
        ("no", "error"),
        ("broken", "error"),
        ("gone", "error"),
        ("loose", "not-content-fixed"),
    ] {
        assert_eq!((item(file)["outcome"].clone(), class(file)), (json!("failed"), json!(expected)), "{}", item(file));
    }
    assert!(item("bad")["error"]["log"].as_str().expect("a log").contains("the last words"));
    assert!(item("uses")["error"]["message"].as_str().expect("a text").contains("`bad`"), "{}", item("uses"));
    assert!(item("no")["error"]["message"].as_str().expect("a text").contains("`none`"), "{}", item("no"));
    assert!(item("gone")["error"]["causes"][0].as_str().expect("a text").contains("No such file"));
    assert!(item("loose")["error"]["hint"].as_str().expect("a text").contains("to_git"));
    assert_eq!(item("bad")["root"], Value::Null);
    assert_eq!(farm.counts(), ["bad", "good"], "what fails is not tried for each who needs it");

    let mut strict = farm.command("ci");
    let output = run(strict.args(["--strict", "specs"]).current_dir(farm.world.path("")));
    assert_eq!(output.status.code(), Some(1));
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stdout.contains("failed     - none of specs/no.json: "), "{stdout}");
    assert!(stdout.ends_with("7 items: 2 hit, 0 built, 5 failed\n"), "{stdout}");
    assert!(stderr.contains("  | the last words"), "{stderr}");
    let good = farm.spec("good.json", "good");
    assert!(run(farm.command("ci").arg("--strict").arg(good)).status.success());
}

#[test]
fn what_makes_no_sense_is_refused_before_any_work() {
    let world = World::new();
    let spec = world.spec("one", &json!({"one": {"type": "tree"}})).display().to_string();
    let cases: &[(&[&str], &str)] = &[
        (&[], "required"),
        (&["SPEC", "--matrix", "ARCH"], "VAR=TEXT,TEXT"),
        (&["SPEC", "--matrix", "A:=1"], "VAR:=[JSON, JSON…]"),
        (&["SPEC", "-c", "A=x", "--matrix", "A=x,y"], "`A` is set more than once"),
        (&["SPEC", "-c", "A"], "`NAME=TEXT` or `NAME:=JSON`"),
        (&["SPEC", "--jobs", "0"], "--jobs"),
        (&["SPEC", "--all", "-e", "main", "", "one"], "cannot be used with"),
        (&["SPEC", "-e", "main", "../..", "one"], "../.."),
        (&["SPEC", "--pin", "nightly"], "--keep"),
        (&["SPEC", "--keep", "14d"], "--pin"),
        (&["SPEC", "--pin", "a/b", "--keep", "14d"], "1 to 64 of `A-Z a-z 0-9 . _ -`"),
        (&["SPEC", "--pin", "nightly", "--keep", "soon"], "as in `14d`"),
        (&["SPEC", "--pin", "nightly", "--keep", "999d"], "366 days at most"),
        (&["SPEC", "--sources"], "--serve"),
    ];
    for (arguments, said) in cases {
        let arguments = arguments.iter().map(|argument| if *argument == "SPEC" { &*spec } else { argument });
        let stderr = run(world.client("ci").arg("prefill").args(arguments.clone()));
        let code = stderr.status.code();
        let stderr = text(&stderr.stderr);
        let expected = if stderr.contains("NAME=TEXT` or") || stderr.contains("../..") { 1 } else { 2 };
        assert!(code == Some(expected) && stderr.contains(said), "{arguments:?}: {code:?}: {stderr}");
    }
    let mut local = world.client("ci");
    local.env("ENVSERVE_SERVE", "127.0.0.1:1").args(["prefill", &spec, "--on-unavailable", "local"]);
    assert!(fail(&mut local, 2).contains("`fail` or `wait`"));
    let stderr = fail(world.client("ci").args(["prefill", "--list", "/none"]), 1);
    assert!(stderr.contains("cannot read the list `/none`"), "{stderr}");
    assert!(!world.path("ci").exists(), "no daemon was started");
}
