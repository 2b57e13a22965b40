//! `envserve plan`: what is planned is what happens, byte for byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Daemon, World, object, plan_and_fetch, succeed};

/// A world with an environment that uses another one, of another repository.
struct Case {
    world: World,
    daemon: Daemon,
    spec: PathBuf,
}

impl Case {
    fn new() -> Self {
        let world = World::new();
        let tools = json!({"type": "tree", "inputs": {
            "own": {"path": "files"},
            "lib": {"env": ["@", "lib", "mod", "made"]},
        }});
        world.write("main/ENVS", json!({"tools": tools}).to_string());
        let made = json!({"type": "tree", "cmd": ["/bin/sh", "-c", "cat in/* >out"], "outs": ["out"],
            "inputs": {"in": {"path": "in"}}, "env": {"PATH": "/usr/bin:/bin"}});
        world.write("lib/mod/ENVS", json!({"made": made}).to_string());
        world.write("lib/in/one", "of the library\n");
        let mut large = vec![0; 3 << 20];
        fastrand::Rng::with_seed(7).fill(&mut large);
        world.write("main/files/large", large);
        for name in ["small", "same", "deep/er/small"] {
            world.write(&format!("main/files/{name}"), "the same everywhere\n");
        }
        world.write("main/files/empty", "");
        let repository = |path: &str, bindings: Value| {
            let root = json!({"type": "file", "path": path, "pragma": {"to_git": true}});
            json!({"repository": root, "bindings": bindings})
        };
        let spec = json!({"environment": ["main", "", "tools"], "repositories": {
            "main": repository("main", json!({"lib": "library"})),
            "library": repository("lib", json!({})),
        }});
        let spec = world.write("spec.json", spec.to_string());
        let daemon = world.daemon();
        Self { world, daemon, spec }
    }

    fn command(&self, client: &str, verb: &str) -> Command {
        let mut command = self.world.client_of(&self.daemon, client);
        command.arg(verb).arg(&self.spec);
        command
    }

    fn plan(&self, client: &str) -> Value {
        object(self.command(client, "plan").arg("--json"))
    }
}

/// Returns names and states of the environments of a plan.
fn states(plan: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let environments = plan["environments"].as_array().expect("a list");
    environments.iter().map(|one| (text(&one["environment"]), text(&one["state"]))).collect()
}

fn expected(states: &[(&str, &str)]) -> Vec<(String, String)> {
    states.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
}

#[test]
fn everything_that_is_missing_is_planned_though_the_server_knows_no_root() {
    let case = Case::new();
    let plan = case.plan("client");
    assert_eq!(states(&plan), expected(&[("tools", "build"), ("mod:made", "build")]), "{plan}");
    assert_eq!(
        (&plan["fetch_bytes"], &plan["complete"], &plan["state"]),
        (&json!(null), &json!(true), &json!("build"))
    );
    assert_eq!(plan["environments"][1]["actions"], 1);
    assert_eq!(plan["environments"][0]["last_build_ms"], json!(null));
    let mut roots: Vec<&str> =
        plan["roots"].as_array().expect("a list").iter().filter_map(|root| root["repository"].as_str()).collect();
    roots.sort_unstable();
    assert_eq!(roots, ["library", "main"]);
    assert_eq!(case.daemon.builds(), 0, "nothing was built");
    let known = object(case.command("client", "plan").arg("--json"));
    assert_eq!(known["roots"], plan["roots"], "and nothing was sent");

    succeed(&mut case.command("client", "fetch"));
    assert_eq!(case.daemon.builds(), 2, "just what was planned");
    case.world.write("main/files/new", "new");
    let changed = case.plan("client");
    assert_eq!(states(&changed), expected(&[("tools", "build"), ("mod:made", "hit")]), "{changed}");
    assert!(changed["environments"][0]["last_build_ms"].is_u64(), "{changed}");
}

#[test]
fn the_bytes_that_are_planned_are_those_that_are_fetched() {
    let case = Case::new();
    succeed(&mut case.command("builder", "fetch"));
    let both = || plan_and_fetch(|verb| case.command("client", verb), &[]);
    let cold = both();
    let size = |path: &str| fs::metadata(case.world.path(path)).expect("there").len();
    let all = size("main/files/large") + size("main/files/small") + size("lib/in/one");
    assert_eq!((&cold["fetch_bytes"], &cold["here_bytes"]), (&json!(all), &json!(0)), "each content once");
    assert_eq!(cold["from"], case.daemon.address);
    assert_eq!(states(&cold), expected(&[("tools", "hit")]));
    assert_eq!(both()["state"], "here");

    case.world.write("main/files/small", "another one\n");
    succeed(&mut case.command("builder", "fetch"));
    let changed = both();
    assert_eq!((&changed["fetch_bytes"], &changed["here_bytes"]), (&json!(12), &json!(all)), "{changed}");

    remove(&case.world.path("client/environments"));
    let linked = both();
    assert_eq!((&linked["state"], &linked["fetch_bytes"]), (&json!("hit"), &json!(0)), "all blobs are here");

    remove(&case.world.path("client/environments"));
    let large = walk(&case.world.path("client/blobs")).into_iter().find(|path| size_of(path) == 3 << 20);
    fs::remove_file(large.expect("there")).expect("own file");
    let lacking = both();
    assert_eq!(lacking["fetch_bytes"], json!(3 << 20), "{lacking}");
}

#[test]
fn a_private_daemon_moves_nothing() {
    let case = Case::new();
    let command = |verb: &str| {
        let mut command = case.world.client("client");
        command.arg(verb).arg(&case.spec);
        command
    };
    assert_eq!(plan_and_fetch(command, &[])["state"], "build");
    remove(&case.world.path("client/environments"));
    remove(&case.world.path("client/memo"));
    let plan = plan_and_fetch(command, &[]);
    assert_eq!((&plan["state"], &plan["fetch_bytes"]), (&json!("hit"), &json!(0)), "{plan}");
}

#[test]
fn a_person_reads_it_too() {
    let case = Case::new();
    let first = succeed(&mut case.command("client", "plan"));
    let lines: Vec<&str> = first.lines().collect();
    assert!(lines[0].starts_with("build ") && lines[0].ends_with(" `tools`"), "{first}");
    assert_eq!(
        lines[2..],
        ["roots that the server does not know: `library`, `main`", "fetch: how much, only the build tells"]
    );
    succeed(&mut case.command("builder", "fetch"));
    let hit = succeed(&mut case.command("client", "plan"));
    assert!(hit.ends_with(&format!("fetch 3.00 MiB from {}; 0 B are here", case.daemon.address)), "{hit}");
    succeed(&mut case.command("client", "fetch"));
    assert!(succeed(&mut case.command("client", "plan")).ends_with("fetch nothing: all of it is here"));
}

#[test]
fn what_neither_the_server_nor_the_client_has_leaves_a_plan_open() {
    let case = Case::new();
    let mut spec: Value = serde_json::from_slice(&fs::read(&case.spec).expect("there")).expect("JSON");
    let tree = "1".repeat(40);
    spec["repositories"]["library"]["repository"] =
        json!({"type": "git tree", "id": tree, "cmd": ["false"], "pragma": {"absent": true}});
    let spec = case.world.write("absent.json", spec.to_string());
    let plan = object(case.world.client_of(&case.daemon, "client").args(["plan", "--json"]).arg(&spec));
    assert_eq!(states(&plan), expected(&[("tools", "build")]), "{plan}");
    assert_eq!(plan["complete"], false);
    assert!(plan["roots"].as_array().expect("a list").contains(&json!({"repository": "library", "tree": tree})));
}

fn remove(path: &Path) {
    succeed(Command::new("rm").arg("-rf").arg(path));
}

fn size_of(path: &Path) -> u64 {
    fs::metadata(path).expect("there").len()
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    crate::support::files(directory)
}
