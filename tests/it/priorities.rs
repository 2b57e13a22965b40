//! Which build comes first when there is not room for all.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Daemon, World, spec, until};

/// A world whose one worker is busy until it is let go. Actions write their names to a file in the order in which they
/// run: there is no sandbox.
struct Queue {
    world: World,
    daemon: Daemon,
    clients: Vec<Child>,
}

impl Queue {
    fn new() -> Self {
        let world = World::new();
        let daemon = Daemon::start(&world.path("daemon"), &["--sandbox", "none", "--jobs", "1"]);
        let go = world.path("go").display().to_string();
        let told = |name: &str, rest: &str| {
            let script = format!("echo {name} >>{}; {rest}; echo x >out", world.path("order").display());
            json!({"type": "tree", "cmd": ["/bin/sh", "-c", script], "outs": ["out"], "env": {"PATH": "/usr/bin:/bin"}})
        };
        let mut environments = json!({
            "first": told("first", &format!("until [ -e {go} ]; do sleep 0.05; done")),
            "base": told("base", ":"), "top": told("top", ":"), "urgent": told("urgent", ":"),
        });
        environments["top"]["inputs"] = json!({"in": {"env": "base"}});
        for number in 0..5 {
            let name = format!("low-{number}");
            environments[name.as_str()] = told(&name, "sleep 1");
        }
        world.spec("first", &environments);
        let mut queue = Self { world, daemon, clients: Vec::new() };
        queue.begin("prefill", "first");
        until("the worker is busy", || (queue.order() == ["first"]).then_some(()));
        queue
    }

    /// Begins to have an environment built, and returns where the client tells what it sees.
    fn begin(&mut self, verb: &str, name: &str) -> String {
        let (client, events) = (format!("{verb}-{name}"), format!("{verb}-{name}.events"));
        let file = self.world.write(&format!("{name}.json"), spec(name).to_string());
        let stderr = fs::File::create(self.world.path(&events)).expect("temporary");
        let mut command: Command = self.world.client_of(&self.daemon, &client);
        command.args([verb, "--events", "jsonl"]).arg(file).stdout(Stdio::null()).stderr(stderr);
        self.clients.push(command.spawn().expect("the binary is there"));
        events
    }

    /// Has an environment wait in the queue.
    fn queued(&mut self, verb: &str, name: &str) {
        let events = self.begin(verb, name);
        until("an action in the queue", || {
            let told = fs::read_to_string(self.world.path(&events)).expect("there");
            let event = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_default();
            told.lines().any(|line| event(line)["phase"] == "queue").then_some(())
        });
    }

    fn order(&self) -> Vec<String> {
        let order = fs::read_to_string(self.world.path("order")).unwrap_or_default();
        order.lines().map(str::to_owned).collect()
    }

    /// Lets the worker go on, and returns in which order all was built.
    fn built(mut self) -> Vec<String> {
        self.world.write("go", "");
        for client in &mut self.clients {
            assert!(client.wait().expect("it ran").success());
        }
        self.order()
    }
}

#[test]
fn what_somebody_waits_for_overtakes_what_is_prefilled() {
    let mut queue = Queue::new();
    for low in ["low-0", "low-1"] {
        queue.queued("prefill", low);
    }
    queue.queued("fetch", "urgent");
    assert_eq!(queue.built(), ["first", "urgent", "low-0", "low-1"]);
}

#[test]
fn who_joins_a_prefilled_build_lends_its_priority_to_the_actions_to_come() {
    let mut queue = Queue::new();
    queue.queued("prefill", "top");
    for number in 0..5 {
        queue.queued("prefill", &format!("low-{number}"));
    }
    queue.queued("fetch", "top");
    let order = queue.built();
    let at = |name: &str| order.iter().position(|other| other == name).expect("it was built");
    // Its base was in the queue already, and the worker does not wait for what follows.
    assert_eq!(at("base"), 1, "{order:?}");
    assert!(at("top") < at("low-4"), "{order:?}");
}

#[test]
fn a_dependency_has_the_priority_of_what_needs_it() {
    let mut queue = Queue::new();
    queue.queued("prefill", "low-0");
    queue.queued("fetch", "top");
    assert_eq!(&queue.built()[..2], ["first", "base"]);
}
