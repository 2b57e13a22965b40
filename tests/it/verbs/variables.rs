//! `-c` with a variable that the environment does not have: it changes nothing, and that is said.

use std::path::PathBuf;

use serde_json::json;

use crate::support::{World, run, script, text};

fn world() -> (World, PathBuf) {
    let world = World::new();
    let mut tools = script("echo {{ARCH}} >out", &["out"]);
    tools["flexible_config"] = json!(["DEBUG", "ARCH"]);
    let spec = world.spec("tools", &json!({"tools": tools, "plain": script("echo x >out", &["out"])}));
    (world, spec)
}

#[test]
fn every_verb_names_the_variables_that_there_are_the_nearest_first() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let expected = "warning: environment `tools` has no variable `ARHC`, so it changes nothing; \
                    did you mean `ARCH`? it has `ARCH`, `DEBUG`\n";
    for verb in [&["fetch"][..], &["fetch", "--absent"], &["fetch", "--probe"], &["key"], &["explain"], &["env"]] {
        let mut command = world.client_of(&daemon, "client");
        let output = run(command.args(verb).arg(&spec).args(["-c", "ARCH=arm", "-c", "ARHC=arm"]));
        let stderr = text(&output.stderr);
        assert!(output.status.success(), "{verb:?}: {stderr}");
        assert_eq!(stderr.matches(expected).count(), 1, "{verb:?}: {stderr}");
        assert_eq!(stderr.matches("warning:").count(), 1, "{verb:?}: {stderr}");
    }
}

#[test]
fn nothing_is_said_of_variables_that_there_are_nor_to_who_wants_to_hear_nothing() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let stderr = |arguments: &[&str]| {
        let mut command = world.client_of(&daemon, "client");
        let output = run(command.arg("fetch").arg(&spec).args(arguments));
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(!stderr(&["-c", "ARCH=arm", "-c", "DEBUG:=true"]).contains("warning"));
    assert_eq!(stderr(&["-q", "-c", "ARCH=arm", "-c", "ARHC=arm"]), "");
    let none = stderr(&["-e", "main", "", "plain", "-c", "X=1"]);
    assert!(none.contains("has no variable `X`, so it changes nothing: there is none that it has"), "{none}");
}
