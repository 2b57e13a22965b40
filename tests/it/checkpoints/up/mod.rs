//! Copies of checkpoints, by `envserve up`.

mod bad;
mod copies;
mod forms;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::instances::Case;
use crate::support::{Daemon, World, criu, fail, run, succeed, text};

/// Says which environment it is, and nothing else.
const SERVICE: &str = include_str!("service.py");
/// Lays out what the service needs.
const PYTHON: &str = include_str!("python.py");

/// Makes a client of a daemon that has a service which takes a second to get warm.
fn case() -> Case {
    let world = World::new();
    let script = world.write("python.py", PYTHON);
    let mut python = Command::new("python3");
    // One of the system is smaller, where there is one.
    let path = format!("/usr/bin:/bin:{}", std::env::var("PATH").expect("set"));
    succeed(python.env("PATH", path).arg(script).arg(world.path("source/root")));
    world.write("source/root/srv/service.py", SERVICE);
    for directory in ["data", "watched"] {
        world.write(&format!("source/root/{directory}/.keep"), "");
    }
    let config = json!({"Env": ["PATH=/usr/bin:/bin"], "ExposedPorts": {"7000/tcp": {}}});
    let environments = json!({
        "image": {"type": "image", "base": {"path": "root"}, "config": config},
        "warm": {
            "type": "checkpoint",
            "image": {"env": "image"},
            "cmd": of_service(&[]),
            "ready": {"log": "serving"},
            "warmup": [of_service(&["slow"]), of_service(&["set", "warm"])],
            "restored": {"cmd": of_service(&["copied"]), "env": {"OF_COMMAND": "its"}},
            "timeout": 120,
        },
    });
    let spec = world.spec("warm", &environments);
    let mut command = Command::new("env");
    command.arg(format!("ENVSERVE_CRIU={}", criu().display()));
    let daemon = Daemon::start_by(command, "serve", &world.path("daemon"), &["--checkpoints-for-all"]);
    Case::of(world, daemon, spec)
}

/// Returns the command of the service, with these words.
fn of_service(words: &[&'static str]) -> Vec<&'static str> {
    [&["python3", "/srv/service.py"], words].concat()
}

/// Asks the service of an instance.
fn ask(instance: &Value, question: &str) -> String {
    let address = &instance["ports"]["7000/tcp"];
    let address = format!("{}:{}", address["host"].as_str().expect("a text"), address["port"]);
    let mut stream = TcpStream::connect(address).expect("passed on");
    writeln!(stream, "{question}").expect("open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

/// Runs `up`, which must succeed, and returns the instances with what it says on stderr.
fn told(command: &mut Command) -> (Vec<Value>, String) {
    let output = run(command.arg("--json"));
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let object: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    (object["instances"].as_array().expect("a list").clone(), said)
}
