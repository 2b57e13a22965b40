//! One build per key, however many ask.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use crate::support::{World, script, succeed, text};

/// A build that waits until a file in the host's shared memory appears cannot be had in a sandbox,
/// so this one takes long enough for everyone to come.
const SLOW: &str = "sleep 2; cat /proc/sys/kernel/random/uuid >out";

#[test]
fn fifty_clients_that_ask_at_once_cause_one_build() {
    let world = World::new();
    let spec = world.spec("slow", &json!({"slow": script(SLOW, &["out"])}));
    let daemon = world.daemon();
    // The server knows the root before, so that all fifty have nothing to do but ask.
    succeed(world.client_of(&daemon, "warm").arg("describe").arg(&spec));
    let clients: Vec<_> = (0..50)
        .map(|number| {
            let mut command = world.client_of(&daemon, &format!("client-{number}"));
            command.arg("fetch").arg(&spec).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("the binary is there")
        })
        .collect();
    let mut results = std::collections::BTreeSet::new();
    for client in clients {
        let output = client.wait_with_output().expect("it ran");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let directory = text(&output.stdout).trim().to_owned();
        results.insert(fs::read_to_string(Path::new(&directory).join("out")).expect("there"));
    }
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!(daemon.builds(), 1);
}

#[test]
fn the_others_get_their_environment_when_the_first_client_dies() {
    let world = World::new();
    let spec = world.spec("slow", &json!({"slow": script(SLOW, &["out"])}));
    let daemon = world.daemon();
    succeed(world.client_of(&daemon, "warm").arg("describe").arg(&spec));
    let mut first = world.client_of(&daemon, "first");
    let mut first = first.arg("fetch").arg(&spec).stderr(Stdio::null()).spawn().expect("the binary is there");
    while !daemon.log().contains("outcome=\"miss\"") {
        assert!(first.try_wait().expect("waitable").is_none(), "{}", daemon.log());
        std::thread::yield_now();
    }
    first.kill().expect("running");
    first.wait().expect("running");
    succeed(world.client_of(&daemon, "second").arg("fetch").arg(&spec));
    assert!(daemon.log().contains("outcome=\"joined\""), "{}", daemon.log());
    assert_eq!(daemon.builds(), 1);
}

#[test]
fn progress_with_the_log_reaches_a_client_that_waits() {
    let world = World::new();
    let talk = "for n in 1 2 3; do echo step $n of the build; sleep 0.3; done; echo x >out";
    let spec = world.spec("talk", &json!({"talk": script(talk, &["out"])}));
    let daemon = world.daemon();
    let mut command = world.client_of(&daemon, "client");
    // A terminal shows the last line of the log; `script` gives the client one.
    let line = format!("{} fetch {}", command.get_program().to_string_lossy(), spec.display());
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("COLUMNS", "200").env_remove("CI");
    command.get_envs().for_each(|(name, value)| {
        terminal.env(name, value.unwrap_or_default());
    });
    let shown = succeed(&mut terminal);
    assert!(shown.contains("step 2 of the build"), "{shown}");
    assert!(shown.contains("0 of 1 actions done"), "{shown}");
    drop(command.args(["--version"]).output());
}

#[test]
fn a_daemon_that_is_killed_while_it_builds_builds_again_and_leaves_nothing_behind() {
    let world = World::new();
    let spec = world.spec("slow", &json!({"slow": script(SLOW, &["out"])}));
    let daemon = world.daemon();
    let work =
        || fs::read_dir(world.path("daemon/tmp")).into_iter().flatten().flatten().filter(|at| at.path().is_dir());
    let mut client = world.client_of(&daemon, "client");
    let mut client = client.arg("fetch").arg(&spec).stderr(Stdio::null()).spawn().expect("the binary is there");
    while work().count() == 0 {
        assert!(client.try_wait().expect("waitable").is_none(), "{}", daemon.log());
        std::thread::yield_now();
    }
    let daemon = daemon.kill_and_restart();
    assert_eq!(client.wait().expect("running").code(), Some(11), "the client says that its server is gone");
    assert_eq!(work().count(), 0);
    succeed(world.client_of(&daemon, "client").arg("fetch").arg(&spec));
}
