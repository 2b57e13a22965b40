//! The services of the example, and copies of them, by this program's own client.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::answer::Question;
use crate::daemon::{Daemon, Place, criu, run};

/// A service of the example, which a client has.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) question: Question,
    port: u16,
    spec: PathBuf,
    serve: String,
    client: PathBuf,
}

/// A copy of a service; it goes when this is dropped.
pub(crate) struct Copies<'a> {
    service: &'a Service,
    pub(crate) facts: Vec<Value>,
}

impl Service {
    /// Has a service built, with every root known by its id only: how long it takes to read the packages of Debian says nothing.
    pub(crate) fn new(name: &'static str, question: Question, port: u16, place: &Place, daemon: &Daemon) -> Self {
        let (client, spec) = (place.path("client"), place.path(&format!("{name}.json")));
        let service = Self { name, question, port, spec, serve: daemon.address.clone(), client };
        let given = place.path("example").join(format!("{name}.json"));
        run(service.command("fetch").arg("--absent").arg(&given));
        let resolved = run(service.command("resolve").arg(given));
        let mut resolved: Value = serde_json::from_str(&resolved).expect("JSON");
        for (_, repository) in resolved["repositories"].as_object_mut().expect("an object") {
            let id = repository["root"][1].take();
            let root = json!({"type": "git tree", "id": id, "cmd": ["false"], "pragma": {"absent": true}});
            *repository = json!({"repository": root, "bindings": repository["bindings"]});
        }
        fs::write(&service.spec, resolved.to_string()).expect("temporary");
        service
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_envserve"));
        command.env("ENVSERVE_ROOT", &self.client).env("ENVSERVE_SERVE", &self.serve).envs(criu()).arg(verb);
        command
    }

    fn command_up(&self, count: usize, options: &[&str]) -> Command {
        let mut command = self.command("up");
        command.arg(&self.spec).args(["--json", "-n", &count.to_string(), "--owner-pid"]);
        command.arg(std::process::id().to_string()).args(options);
        command
    }

    /// Starts copies: when this returns they are ready.
    pub(crate) fn up(&self, count: usize, options: &[&str]) -> Copies<'_> {
        self.started(&run(&mut self.command_up(count, options)))
    }

    /// Starts a copy in a form.
    ///
    /// # Errors
    /// Why it is not there.
    pub(crate) fn up_in(&self, form: &str) -> Result<Copies<'_>, String> {
        let output = self.command_up(1, &["--form", form]).output().expect("it can be started");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(self.started(&said(&output.stdout))) } else { Err(said(&output.stderr)) }
    }

    fn started(&self, printed: &str) -> Copies<'_> {
        let printed: Value = serde_json::from_str(printed).expect("JSON");
        Copies { service: self, facts: printed["instances"].as_array().expect("a list").clone() }
    }

    /// Returns the seconds until a copy has answered for the first time.
    pub(crate) fn first_answer(&self, options: &[&str]) -> f64 {
        let begun = Instant::now();
        let copies = self.up(1, options);
        self.question.ask(&copies.address(0));
        begun.elapsed().as_secs_f64()
    }

    /// Returns the seconds until a copy answers that runc alone starts from what this copy has been started from.
    pub(crate) fn bare(&self, copies: &Copies, place: &Place) -> f64 {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/checkpoints/bare.py");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "python3"]).arg(script);
        command.arg(copies.facts[0]["supervisor"].to_string()).arg(copies.form());
        command.args(criu().iter().map(|(_, program)| program)).arg(place.path("bare")).arg(self.port.to_string());
        run(&mut command).parse().expect("seconds")
    }
}

impl Copies<'_> {
    /// Returns what they were started from.
    pub(crate) fn form(&self) -> &str {
        self.facts[0]["form"].as_str().expect("a text")
    }

    pub(crate) fn address(&self, number: usize) -> String {
        let address = &self.facts[number]["ports"][format!("{}/tcp", self.service.port)];
        format!("{}:{}", address["host"].as_str().expect("a text"), address["port"])
    }

    /// Returns for each the seconds from when it was begun until it was ready.
    pub(crate) fn starts(&self) -> Vec<f64> {
        let written = |facts: &Value, file: &str| {
            let path = Path::new(facts["directory"].as_str().expect("a text")).join(file);
            let found = fs::metadata(path).expect("there");
            found.mtime() as f64 + found.mtime_nsec() as f64 / 1e9
        };
        // The first thing that is made, and the last.
        self.facts.iter().map(|facts| written(facts, "state.json") - written(facts, "lock")).collect()
    }
}

impl Drop for Copies<'_> {
    fn drop(&mut self) {
        let ids = self.facts.iter().filter_map(|facts| facts["id"].as_str());
        run(self.service.command("down").args(ids));
    }
}
