//! Settings with which a daemon does not start, and those with which it does.

use std::process::Command;

use crate::support::{Daemon, World, fail, request};

/// Starts a daemon that listens on all addresses of this host, and returns what it says when it does not.
fn exposed(world: &World, verb: &str, options: &[&str]) -> String {
    // One that starts all the same would never end by itself.
    let mut command = Command::new("timeout");
    command.args(["60", env!("CARGO_BIN_EXE_envserve"), verb, "--listen", "0.0.0.0:0", "--root"]);
    fail(command.arg(world.path("refused")).args(options), 2)
}

#[test]
fn a_daemon_that_is_writable_for_everybody_does_not_start() {
    let world = World::new();
    for verb in ["serve", "execute"] {
        let stderr = exposed(&world, verb, &[]);
        assert!(stderr.contains("everybody who can connect to `0.0.0.0:"), "{stderr}");
        assert!(stderr.contains("would have the role `admin`"), "{stderr}");
        assert!(stderr.contains("`--anonymous reader`") && stderr.contains("`--allow-anonymous-writes`"), "{stderr}");
        for role in ["uploader", "builder", "admin"] {
            assert!(exposed(&world, verb, &["--anonymous", role]).contains(&format!("the role `{role}`")));
        }
        let tokens = world.write("tokens", "one\n").display().to_string();
        exposed(&world, verb, &["--token-file", &tokens, "--anonymous", "builder"]);
        // To have checkpoints is one thing, to be the only one who may write another.
        exposed(&world, verb, &["--checkpoint-token-file", &tokens]);
    }
}

#[test]
fn a_daemon_for_known_clients_or_for_readers_starts() {
    let world = World::new();
    let tokens = world.write("tokens", "one\n").display().to_string();
    for (number, (options, anonymous, known)) in [
        (&["--token-file", &tokens][..], 401, 404),
        (&["--anonymous", "reader", "--token-file", &tokens], 403, 404),
        (&["--anonymous", "reader"], 403, 403),
        (&["--anonymous", "none"], 401, 401),
        (&["--allow-anonymous-writes"], 404, 404),
    ]
    .into_iter()
    .enumerate()
    {
        let daemon = Daemon::start_for_all(&world.path(&format!("daemon-{number}")), options);
        let address = daemon.address.replace("0.0.0.0", "127.0.0.1");
        let status = |headers: &[(&str, &str)]| request(&address, "GET", "/unheard-of", headers, b"").status;
        let said = (status(&[]), status(&[("Authorization", "Bearer one")]));
        assert_eq!(said, (anonymous, known), "{options:?}");
    }
}

#[test]
fn options_that_name_no_role_are_refused() {
    let world = World::new();
    let start = |options: &[&str], code| {
        let mut command = Command::new("timeout");
        command.args(["60", env!("CARGO_BIN_EXE_envserve"), "serve", "--listen", "127.0.0.1:0", "--root"]);
        fail(command.arg(world.path("daemon")).args(options), code)
    };
    let stderr = start(&["--anonymous", "everybody"], 2);
    assert!(stderr.contains("`reader`, `uploader`, `builder` or `admin` is expected, or `none`"), "{stderr}");
    // What is no role belongs to the path of the file.
    let stderr = start(&["--token-file", "raeder=/tokens"], 1);
    assert!(stderr.contains("cannot read `raeder=/tokens`"), "{stderr}");
    start(&["--token-file", "reader="], 1);
    start(&["--tls-client-ca", "reader=ca.pem"], 2);
}
