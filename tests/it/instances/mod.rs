//! Instances of images: many beside each other, started again, gone with whom they belong to.

mod copies;
mod lease;
mod life;
mod starts;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Daemon, World, criu, succeed, until};

/// What busybox is in the image.
const APPLETS: [&str; 12] = ["cat", "echo", "false", "httpd", "id", "kill", "ls", "mkdir", "pwd", "sh", "sleep", "tty"];

/// A client of a daemon that has an image with a web server, and a process to which its instances belong.
pub(crate) struct Case {
    pub(crate) world: World,
    pub(crate) daemon: Daemon,
    pub(crate) spec: PathBuf,
    owner: Child,
}

impl Case {
    fn new() -> Self {
        Self::with(&json!({"Cmd": ["httpd", "-f", "-p", "127.0.0.1:80", "-h", "/srv"], "ExposedPorts": {"80/tcp": {}}}))
    }

    /// Makes one whose configuration says this.
    fn with(config: &Value) -> Self {
        let world = World::new();
        world.busybox(&APPLETS);
        world.write("source/root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        world.write("source/root/srv/index.html", "first");
        let daemon = world.daemon();
        let mut config = config.clone();
        config["Env"] = json!(["PATH=/bin", "OF_IMAGE=yes"]);
        let image = json!({"type": "image", "base": {"path": "root"}, "config": config});
        let tree = json!({"type": "tree", "inputs": {"": {"path": "root/srv"}}});
        let spec = world.spec("image", &json!({"image": image, "tree": tree}));
        Self::of(world, daemon, spec)
    }

    /// Makes one of a spec.
    pub(crate) fn of(world: World, daemon: Daemon, spec: PathBuf) -> Self {
        // It ends with the process of the tests, however that does.
        let owner = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("runs");
        Self { world, daemon, spec, owner }
    }

    /// Returns a verb that is about instances.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = self.world.client_of(&self.daemon, "client");
        command.env("ENVSERVE_CRIU", criu()).arg(verb);
        command
    }

    /// Returns `envserve up` for the owner.
    pub(crate) fn up(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("up");
        command.arg(&self.spec).args(["--owner-pid", &self.owner.id().to_string(), "--timeout", "120"]).args(arguments);
        command
    }

    /// Starts instances and returns what is said of them.
    pub(crate) fn started(&self, arguments: &[&str]) -> Vec<Value> {
        let printed = succeed(self.up(&["--json"]).args(arguments));
        let object: Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!(object["version"], 1);
        object["instances"].as_array().expect("a list").clone()
    }

    /// Starts an instance and returns its id.
    pub(crate) fn one(&self, arguments: &[&str]) -> String {
        id(&self.started(arguments)[0])
    }

    /// Returns `envserve exec` of these words.
    pub(crate) fn exec(&self, id: &str, words: &[&str]) -> Command {
        let mut command = self.command("exec");
        command.arg(id).arg("--").args(words);
        command
    }

    /// Returns what `ps` says.
    pub(crate) fn listed(&self) -> Vec<Value> {
        let printed = succeed(self.command("ps").arg("--json"));
        let object: Value = serde_json::from_str(&printed).expect("JSON");
        object["instances"].as_array().expect("a list").clone()
    }

    /// Returns the names of the directories of instances.
    pub(crate) fn directories(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.world.path("client/instances")) else { return Vec::new() };
        let names = entries.flatten().filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    /// Returns `envserve up` of another user than root.
    pub(crate) fn up_as_nobody(&self) -> Command {
        let (program, root) = (self.world.path("user/envserve"), self.world.path("user/root"));
        fs::create_dir_all(&root).expect("temporary");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(self.world.path(""), open).expect("temporary");
        std::os::unix::fs::chown(&root, Some(65_534), Some(65_534)).expect("root");
        fs::copy(env!("CARGO_BIN_EXE_envserve"), &program).expect("temporary");
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(program).arg("up");
        command.arg(&self.spec).env("HOME", &root).env("ENVSERVE_ROOT", &root);
        command.env("ENVSERVE_SERVE", &self.daemon.address).stdin(Stdio::null());
        command
    }

    pub(crate) fn kill_owner(&mut self) {
        self.owner.kill().expect("ours");
        self.owner.wait().expect("ours");
    }

    /// Kills the owner of all instances, which run, and sees that nothing of them is left.
    pub(crate) fn end_with_owner(&mut self, instances: &[Value]) {
        assert!(instances.iter().all(|instance| is_alive(&instance["pid"]) && !groups(&id(instance)).is_empty()));
        self.kill_owner();
        until("the instances are gone", || self.directories().is_empty().then_some(()));
        for instance in instances {
            until("its processes are gone", || {
                (!is_alive(&instance["pid"]) && !is_alive(&instance["supervisor"])).then_some(())
            });
            assert_eq!(groups(&id(instance)), Vec::<PathBuf>::new());
            let ports = instance["ports"].as_object().expect("an object");
            assert!(!ports.is_empty());
            for address in ports.values() {
                let address = format!("{}:{}", address["host"].as_str().expect("a text"), address["port"]);
                assert!(TcpStream::connect(address).is_err(), "{instance}");
            }
        }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        self.kill_owner();
        // They are there for nobody, and in a directory that goes.
        drop(self.command("down").arg("--all").stdout(Stdio::null()).status());
        until("the instances are gone", || self.directories().is_empty().then_some(()));
    }
}

pub(crate) fn id(instance: &Value) -> String {
    instance["id"].as_str().expect("a text").to_owned()
}

/// Returns the address of the web server of an instance.
fn address(instance: &Value) -> String {
    let address = &instance["ports"]["80/tcp"];
    format!("{}:{}", address["host"].as_str().expect("a text"), address["port"])
}

/// Returns what the web server of an instance answers, by its port and by its socket.
fn get(instance: &Value) -> String {
    let socket = instance["ports"]["80/tcp"]["socket"].as_str().expect("a path");
    let by_socket = ask(UnixStream::connect(socket).expect("passed on"));
    assert_eq!(ask(TcpStream::connect(address(instance)).expect("passed on")), by_socket);
    by_socket
}

fn ask(mut stream: impl Read + Write) -> String {
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned()
}

/// Returns the control groups of an instance.
pub(crate) fn groups(id: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let all = hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]).map(|path| path.join(format!("envserve-{id}")));
    all.filter(|path| path.exists()).collect()
}

pub(crate) fn is_alive(process: &Value) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}
