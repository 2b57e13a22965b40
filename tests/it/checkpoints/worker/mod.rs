//! The worker, run as its action does: what it makes, and what it says when it cannot.

mod forms;
mod remains;
mod troubles;

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{World, criu, processes, succeed, text};

const SERVICE: &str = include_str!("service.py");
/// Lays out what the service needs.
const PYTHON: &str = include_str!("../up/python.py");
const APPLETS: [&str; 9] = ["cat", "echo", "false", "kill", "mkdir", "sh", "sleep", "test", "touch"];
/// Whose the service is in the image.
const USER: u32 = 1000;

/// The input root of an action, without what it brings.
struct Case {
    world: World,
}

impl Case {
    /// Makes one with this service, whose image has nothing but a shell.
    fn of_shell(service: &Value) -> Self {
        let world = World::new();
        world.busybox(&APPLETS);
        Self::over(world, service)
    }

    /// Makes one with the service that is hard to write to disk.
    fn of_python(words: &[&str], service: &Value) -> Self {
        let world = World::new();
        world.busybox(&APPLETS);
        let script = world.write("python.py", PYTHON);
        // One of the system is smaller, where there is one.
        let path = format!("/usr/bin:/bin:{}", std::env::var("PATH").expect("set"));
        succeed(Command::new("python3").env("PATH", path).arg(script).arg(world.path("source/root")));
        world.write("source/root/srv/service.py", SERVICE);
        let words = [&["python3", "/srv/service.py"], words].concat();
        let mut all = json!({
            "cmd": words,
            "ready": {"http": {"port": 7000, "path": "/"}},
            // Even where everything is quick, a copy is quicker than this.
            "warmup": [command("sleep 3")],
        });
        for (name, value) in service.as_object().expect("an object") {
            all[name] = value.clone();
        }
        Self::over(world, &all)
    }

    fn over(world: World, service: &Value) -> Self {
        for file in ["removed", "renewed/inner"] {
            world.write(&format!("source/root/data/{file}"), "of the image");
        }
        let root = world.path("source/root");
        for path in [root.join("data"), root.join("data/renewed")] {
            chown(&path, Some(USER), Some(USER)).expect("root");
        }
        fs::create_dir(world.path("action")).expect("temporary");
        let mut tar = Command::new("tar");
        tar.args(["--create", "--numeric-owner", "--file"]).arg(world.path("action/root.tar"));
        succeed(tar.arg("--directory").arg(root).arg("."));
        let config = json!({"User": format!("{USER}:{USER}"), "Env": ["PATH=/usr/bin:/bin"]});
        let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}, "config": config});
        world.write("action/config.json", config.to_string());
        let case = Self { world };
        case.order(service);
        case
    }

    /// Orders this service.
    fn order(&self, service: &Value) {
        let mut all = json!({
            "cmd": null, "ready": {"log": "is ready"}, "warmup": [], "restored": null,
            "stop": {"by": {"signal": "SIGTERM"}, "timeout": null}, "timeout": null,
        });
        for (name, value) in service.as_object().expect("an object") {
            all[name] = value.clone();
        }
        self.world.write("action/order.json", json!({"version": 1, "service": all}).to_string());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.path("action").join(name)
    }

    fn worker(&self) -> Command {
        let mut command = self.world.client("root");
        command.env("ENVSERVE_CRIU", criu()).arg("make-checkpoint").current_dir(self.world.path("action"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the worker, which must leave nothing but what it makes, and returns its exit code and what it says.
    fn end(&self, mut command: Command) -> (Option<i32>, String) {
        let child = command.spawn().expect("it starts");
        let process = child.id();
        let output = child.wait_with_output().expect("it ends");
        let said = text(&output.stderr);
        assert_eq!(left(process), Vec::<String>::new(), "{said}");
        let mut names: Vec<_> =
            fs::read_dir(self.path("")).expect("there").flatten().map(|entry| entry.file_name()).collect();
        names.retain(|name| name != "made");
        names.sort();
        assert_eq!(names, ["config.json", "order.json", "root.tar"], "{said}");
        (output.status.code(), said)
    }

    /// Runs the worker, which must succeed, and returns the outcome and what it says.
    fn made(&self) -> (Value, String) {
        self.made_by(self.worker())
    }

    fn made_by(&self, command: Command) -> (Value, String) {
        let (code, said) = self.end(command);
        assert_eq!(code, Some(0), "{said}");
        let file = File::open(self.path("made/outcome.json")).expect("it is there");
        (serde_json::from_reader(file).expect("JSON"), said)
    }

    /// Runs the worker, which must fail so, and returns what it says.
    fn failed(&self, code: i32) -> String {
        let (found, said) = self.end(self.worker());
        assert_eq!(found, Some(code), "{said}");
        assert!(!self.path("made").exists(), "{said}");
        said
    }

    /// Writes a CRIU that does this before it is one.
    fn criu_that(&self, script: &str) -> PathBuf {
        let path = self.world.path("criu");
        let script = format!("#!/bin/sh\n{script}\nexec '{}' \"$@\"\n", criu().display());
        // A file that this process has open to write cannot be run, and others that it starts meanwhile would have it too.
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf %s \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", &script]);
        succeed(shell.arg(&path));
        path
    }
}

/// Returns a command of the order, run by the shell.
fn command(script: &str) -> Value {
    json!({"cmd": ["sh", "-c", script], "env": {}})
}

/// Returns what is left of a worker on this host: processes, mounts, control groups, directories.
fn left(worker: u32) -> Vec<String> {
    let name = format!("checkpoint-{worker}-");
    let mut left = processes(|line| line.contains(&name));
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("Linux");
    left.extend(mounts.lines().filter(|line| line.contains(&name)).map(str::to_owned));
    let hierarchies = fs::read_dir("/sys/fs/cgroup").expect("Linux").flatten().map(|entry| entry.path());
    let places = ["/sys/fs/cgroup", "/var/tmp/envserve-checkpoints", "/tmp/envserve-checkpoints"].map(PathBuf::from);
    for place in hierarchies.chain(places).filter(|place| place.is_dir()) {
        let names =
            fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path().display().to_string());
        left.extend(names.filter(|path| path.contains(&name)));
    }
    left
}

/// Returns what of this form is said.
fn refused<'a>(outcome: &'a Value, form: &str) -> &'a str {
    outcome["made"][form]["refused"]["reason"].as_str().unwrap_or_else(|| panic!("it is there: {outcome}"))
}

/// Returns how many layers a form lies over, which must be there.
fn layers(outcome: &Value, form: &str) -> u64 {
    outcome["made"][form]["published"]["layers"].as_u64().unwrap_or_else(|| panic!("it is not there: {outcome}"))
}

/// Returns what GNU tar tells of an archive, a line for an entry.
fn listing(archive: &Path) -> Vec<String> {
    let mut tar = Command::new("tar");
    tar.args(["--list", "--verbose", "--verbose", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--file"]);
    succeed(tar.arg(archive)).lines().map(str::to_owned).collect()
}
