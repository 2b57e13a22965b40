//! The other verbs, and the form of what they print.

mod explain;
mod plan;
mod probe;
mod variables;

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{World, fail, run, succeed};

fn world() -> (World, std::path::PathBuf) {
    let world = World::new();
    world.write("source/bin/hello", "#!/bin/sh\necho hello from the environment\n");
    let mut mode = fs::metadata(world.path("source/bin/hello")).expect("there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(world.path("source/bin/hello"), mode).expect("own file");
    let tools = json!({
        "type": "tree",
        "doc": ["A program that greets."],
        "flexible_config": ["ARCH"],
        "config_doc": {"ARCH": ["The processor it is for."]},
        "inputs": {"bin": {"path": "bin"}},
        "provides": {"path": ["bin"], "vars": {"TOOLS": "{{@root}}", "QUOTE": "it's"}},
    });
    let spec = world.spec("tools", &json!({"tools": tools}));
    (world, spec)
}

#[test]
fn a_shell_runs_a_command_in_the_environment_and_has_its_exit_code() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let shell = |script: &str| {
        let mut command = world.client_of(&daemon, "client");
        command.arg("shell").arg(&spec).args(["--", "/bin/sh", "-c", script]);
        command
    };
    assert_eq!(succeed(&mut shell("hello")), "hello from the environment");
    assert_eq!(run(&mut shell("exit 7")).status.code(), Some(7));
    let kept = succeed(shell("echo $OWN $QUOTE; test -x $TOOLS/bin/hello").env("OWN", "kept"));
    assert_eq!(kept, "kept it's");
    let missing = fail(world.client_of(&daemon, "client").arg("shell").arg(&spec).args(["--", "no-such-program"]), 127);
    assert!(missing.contains("no-such-program"), "{missing}");
}

#[test]
fn the_printed_variables_can_be_evaluated() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let env = succeed(world.client_of(&daemon, "client").arg("env").arg(&spec));
    let script = format!("{env}\nhello; echo \"$QUOTE\"; ls /bin/sh");
    let shown = succeed(Command::new("/bin/sh").args(["-c", &script]));
    assert_eq!(shown, "hello from the environment\nit's\n/bin/sh");
    let object = succeed(world.client_of(&daemon, "client").args(["env", "--json"]).arg(&spec));
    let object: Value = serde_json::from_str(&object).expect("JSON");
    assert_eq!(object["vars"]["QUOTE"], "it's");
}

#[test]
fn the_documentation_names_the_variables() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let shown = succeed(world.client_of(&daemon, "client").arg("describe").arg(&spec));
    insta::assert_snapshot!(shown, @r"
    tools (tree)
      A program that greets.

      ARCH
        The processor it is for.
    ");
}

#[test]
fn the_key_shows_its_components_and_is_the_same_for_renamed_repositories() {
    let (world, spec) = world();
    let key = |path: &std::path::Path| succeed(world.client("client").arg("key").arg(path));
    let plain = key(&spec);
    let object: Value =
        serde_json::from_str(&succeed(world.client("client").args(["key", "--json"]).arg(&spec))).expect("JSON");
    assert_eq!(object["key"], plain);
    assert_eq!(object["target_name"], json!(["", "tools"]));
    assert_eq!(object["effective_config"], json!({"ARCH": null}));
    let mut renamed: Value = serde_json::from_slice(&fs::read(&spec).expect("there")).expect("JSON");
    let repository = renamed["repositories"]["main"].take();
    renamed["repositories"] = json!({"other": repository});
    renamed["environment"] = json!(["other", "", "tools"]);
    let renamed = world.write("renamed.json", renamed.to_string());
    assert_eq!(key(&renamed), plain);
    world.write("source/bin/more", "changed");
    assert_ne!(key(&spec), plain);
}

#[test]
fn a_probe_never_builds() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let probe = || run(world.client_of(&daemon, "prober").args(["fetch", "--probe"]).arg(&spec));
    assert_eq!((probe().status.code(), daemon.builds()), (Some(10), 0));
    succeed(world.client_of(&daemon, "client").arg("fetch").arg(&spec));
    assert_eq!(probe().status.code(), Some(0));
}

#[test]
fn a_server_that_is_not_there_is_named_and_has_its_own_exit_code() {
    let (world, spec) = world();
    let mut client = world.client("client");
    let stderr = fail(client.env("ENVSERVE_SERVE", "127.0.0.1:1").arg("fetch").arg(&spec), 11);
    assert!(stderr.contains("127.0.0.1:1") && stderr.contains("hint:"), "{stderr}");
}

#[test]
fn a_daemon_stops_when_asked_to() {
    let (world, spec) = world();
    let daemon = world.daemon();
    succeed(world.client_of(&daemon, "client").arg("fetch").arg(&spec));
    assert!(daemon.terminate().success());
}

#[test]
fn a_second_daemon_on_one_root_is_refused() {
    let world = World::new();
    let daemon = world.daemon();
    let mut second = Command::new(env!("CARGO_BIN_EXE_envserve"));
    second.args(["serve", "--listen", "127.0.0.1:0", "--root"]).arg(&daemon.root);
    let stderr = fail(&mut second, 1);
    assert!(stderr.contains("cannot open the store"), "{stderr}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (world, spec) = world();
    let client = world.client("client");
    let line = format!("{} key --json {} | true", client.get_program().to_string_lossy(), spec.display());
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", &line]).env("ENVSERVE_ROOT", world.path("client"));
    assert!(run(&mut shell).status.success());
}
