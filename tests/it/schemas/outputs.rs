//! What is printed: all of it is in the schemas, and is as they say.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{fields, keys, refused, schema};
use crate::instances::Case as Instances;
use crate::nix::Expression;
use crate::support::{Daemon, World, criu, git, object, run, script, spec, succeed, text};

/// Returns a schema with every object closed to fields that it does not name.
fn closed(name: &str) -> Value {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(object) => {
                if object.get("properties").is_some_and(Value::is_object) {
                    object.entry("additionalProperties").or_insert(json!(false));
                }
                for (key, value) in object {
                    match value {
                        Value::Object(properties) if key == "properties" => properties.values_mut().for_each(close),
                        value => close(value),
                    }
                }
            }
            Value::Array(list) => list.iter_mut().for_each(close),
            _ => {}
        }
    }
    let mut schema: Value = serde_json::from_slice(&fs::read(schema(name)).expect("readable")).expect("JSON");
    close(&mut schema);
    schema
}

/// Checks that each of these was printed as a schema says, with no field but those of the schema, and that together
/// they had every field, but maybe these.
fn as_the_schema_says(name: &str, printed: &[Value], maybe_not: &[&str]) {
    let world = World::new();
    let closed = closed(name);
    let path = world.write("closed.json", closed.to_string());
    assert_eq!(refused(&path, printed), BTreeSet::new(), "{name}: {printed:#?}");
    assert_eq!(refused(&schema(name), printed), BTreeSet::new(), "{name}: {printed:#?}");
    let (mut known, mut seen) = (BTreeSet::new(), BTreeSet::new());
    fields(&closed, &mut known);
    printed.iter().for_each(|printed| keys(printed, &mut seen));
    let mut unseen = known.difference(&seen).map(String::as_str).filter(|field| !maybe_not.contains(field));
    assert_eq!(unseen.next(), None, "{name}");
}

/// Runs a command that prints JSON, however it ends.
fn said(command: &mut Command) -> Value {
    let output = run(command);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{command:?}\n{}", text(&output.stderr)))
}

/// A world with an environment of each kind but `nix`, and a daemon that makes checkpoints.
fn kinds() -> (World, Daemon) {
    let world = World::new();
    world.busybox(&["cat", "echo", "httpd", "sh", "sleep"]);
    world.write("source/root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    let mut tree = script("mkdir bin; echo {{WHO}} >bin/out", &["bin"]);
    tree["inputs"] = json!({"in": {"path": "root/etc"}});
    tree["flexible_config"] = json!(["WHO"]);
    tree["provides"] = json!({"path": ["bin"], "vars": {"ROOT": "{{@root}}"}});
    let config = json!({"Env": ["PATH=/bin"], "ExposedPorts": {"80/tcp": {}},
        "Cmd": ["httpd", "-f", "-p", "127.0.0.1:80", "-h", "/etc"]});
    let image = json!({"type": "image", "base": {"path": "root"}, "config": config});
    // A service that takes so long to start is kept as memory.
    let server = ["sh", "-c", "trap exit TERM; sleep 2; httpd -f -p 80 -h /etc & wait"];
    let warm = json!({"type": "checkpoint", "image": {"env": "image"}, "cmd": server, "timeout": 120,
        "ready": {"http": {"port": 80, "path": "/passwd"}}, "warmup": [{"cmd": ["echo"], "env": {"A": "b"}}],
        "restored": ["echo"], "stop": {"timeout": 60}});
    world.spec("tree", &json!({"tree": tree, "image": image, "warm": warm}));
    for name in ["tree", "image", "warm"] {
        let mut spec = spec(name);
        spec["config"] = json!({"WHO": "world"});
        world.write(&format!("{name}.json"), spec.to_string());
    }
    let criu = criu();
    let options = ["--criu", criu.to_str().expect("UTF-8"), "--checkpoints-for-all"];
    let daemon = Daemon::start(&world.path("daemon"), &options);
    (world, daemon)
}

/// Returns a verb with `--json` of a client that can make and wake checkpoints.
fn verb(world: &World, daemon: &Daemon, spec: &str, words: &[&str]) -> Command {
    let mut command = world.client_of(daemon, "client");
    command.env("ENVSERVE_CRIU", criu()).args(words).arg("--json").arg(world.path(spec));
    command
}

/// A closure, and the shell in which it would be built.
fn closures() -> (World, Daemon, [PathBuf; 2]) {
    let expression = Expression::features();
    let shell = expression.spec_of("script", &json!({"mode": "shell"}));
    let shell = succeed(Command::new("cp").arg("-v").arg(&shell).arg(shell.with_file_name("shell.json")));
    assert!(shell.contains("shell.json"));
    let built = expression.spec_of("multiple", &json!({"outputs": ["out", "dev"]}));
    let daemon = expression.world.daemon();
    let shell = expression.world.path("shell.json");
    (expression.world, daemon, [built, shell])
}

#[test]
fn environments_of_all_kinds_are_told_to_build_tools_and_fetched_as_the_schemas_say() {
    let (world, daemon) = kinds();
    let (expressions, other, specs) = closures();
    let (mut absent, mut fetched) = (Vec::new(), Vec::new());
    for spec in ["tree.json", "image.json", "warm.json"] {
        absent.push(object(&mut verb(&world, &daemon, spec, &["fetch", "--absent"])));
        fetched.push(object(&mut verb(&world, &daemon, spec, &["fetch"])));
    }
    fetched.push(object(&mut verb(&world, &daemon, "image.json", &["fetch", "--view", "oci"])));
    for spec in &specs {
        let client = |words: &[&str]| {
            let mut command = expressions.client_of(&other, "client");
            object(command.args(words).arg("--json").arg(spec))
        };
        absent.push(client(&["fetch", "--absent"]));
        fetched.push(client(&["fetch"]));
    }
    // There are other ways to tell that a service is ready; both forms may be there; no other program was given anything.
    let others = ["log", "tcp", "reason", "refused"];
    as_the_schema_says("absent", &absent, &others);
    as_the_schema_says("fetch", &fetched, &[&others[..], &["loaded"]].concat());

    let kinds: Vec<&Value> = absent.iter().map(|printed| &printed["descriptor"]["kind"]).collect();
    assert_eq!(kinds, ["tree", "image", "checkpoint", "nix", "nix"]);
    let [tree, image, warm, ..] = &absent[..] else { panic!("one of each") };
    assert!(tree.get("manifest").is_none() && tree.get("container_image").is_none() && tree.get("service").is_none());
    let manifest = image["manifest"].as_str().expect("a digest");
    let property = image["container_image"].as_str().expect("a reference");
    assert!(property.starts_with("docker://") && property.ends_with(&format!("@{manifest}")), "{property}");
    assert!(warm.get("manifest").is_none() && warm["service"].is_string(), "{warm}");
}

#[test]
fn a_fetch_is_planned_probed_and_explained_as_the_schemas_say() {
    let (world, daemon) = kinds();
    let json = |words: &[&str]| said(&mut verb(&world, &daemon, "tree.json", words));
    let (mut plans, mut probes) = (vec![json(&["plan"])], vec![json(&["fetch", "--probe"])]);
    let mut explained = vec![json(&["explain"])];
    object(&mut verb(&world, &daemon, "tree.json", &["fetch", "--absent"]));
    plans.push(json(&["plan"]));
    probes.push(json(&["fetch", "--probe"]));
    explained.push(json(&["explain"]));
    let variables = json(&["env"]);
    plans.push(json(&["plan"]));
    probes.push(json(&["fetch", "--probe"]));
    explained.push(json(&["explain", "-c", "WHO=you"]));
    world.write("source/more", "x");
    explained.push(json(&["explain"]));
    plans.push(json(&["plan"]));
    let states = |printed: &[Value]| printed.iter().map(|printed| printed["state"].clone()).collect::<Vec<_>>();
    assert_eq!(states(&plans), ["build", "hit", "here", "build"]);
    assert_eq!(states(&probes), ["miss", "hit", "here"]);
    assert_eq!(states(&explained), ["miss", "hit", "miss", "miss"]);
    as_the_schema_says("plan", &plans, &[]);
    as_the_schema_says("probe", &probes, &[]);
    as_the_schema_says("explain", &explained, &[]);
    as_the_schema_says("variables", &[variables], &[]);
    as_the_schema_says("key", &[json(&["key"])], &[]);
}

#[test]
fn a_prefill_is_reported_as_the_schema_says() {
    let (world, daemon) = kinds();
    world.write("broken.json", "{");
    let mut words = vec!["prefill", "broken.json", "-c", "WHO=me", "--sources"];
    ["none", "tree", "image", "warm"].iter().for_each(|name| words.extend(["-e", "main", "", name]));
    let printed = object(verb(&world, &daemon, "tree.json", &words).current_dir(world.path("")));
    let outcomes: Vec<&Value> =
        printed["items"].as_array().expect("a list").iter().map(|item| &item["outcome"]).collect();
    assert_eq!(outcomes, ["failed", "failed", "built", "built", "built"], "of all kinds: {printed}");
    as_the_schema_says("prefill", &[printed], &["WHO"]);
}

#[test]
fn sources_are_fetched_as_the_schema_says() {
    let world = World::new();
    world.write("source/ENVS", json!({"one": script("cat in/file >out", &["out"])}).to_string());
    world.write("file", "content");
    let blob = git(&world.path(""), &["hash-object", "--no-filters", "file"]);
    let mut spec = spec("one");
    let file = json!({"type": "foreign file", "content": blob, "fetch": "./file", "name": "file"});
    spec["repositories"]["main"]["bindings"] = json!({"file": "file"});
    spec["repositories"]["file"] = json!({"repository": file});
    world.write("spec.json", spec.to_string());
    let daemon = world.daemon();
    let into = world.path("into");
    let into = into.to_str().expect("UTF-8");
    let words = ["fetch", "--sources", "--backup-to-remote", "--distdir", into];
    let printed = object(&mut verb(&world, &daemon, "spec.json", &words));
    assert_eq!(printed["sources"].as_array().map(Vec::len), Some(3), "{printed}");
    as_the_schema_says("sources", &[printed], &[]);
}

#[test]
fn instances_are_told_as_the_schema_says() {
    let (world, daemon) = kinds();
    let [image, warm] = ["image.json", "warm.json"].map(|name| world.path(name));
    let mut case = Instances::of(world, daemon, image);
    let mut printed = vec![object(&mut case.up(&["--json"]))];
    case.spec = warm;
    printed.push(object(&mut case.up(&["--json"])));
    printed.push(object(case.command("ps").arg("--json")));
    assert_eq!(printed[2]["instances"].as_array().map(Vec::len), Some(2));
    as_the_schema_says("instances", &printed, &["ended"]);
}

#[test]
fn hosts_and_stores_are_told_as_the_schemas_say() {
    let world = World::new();
    let doctor = |criu: &Path| {
        let mut doctor = world.client("client");
        said(doctor.args(["doctor", "--json"]).env("ENVSERVE_CRIU", criu))
    };
    as_the_schema_says("doctor", &[doctor(&criu()), doctor(Path::new("/nowhere"))], &[]);
    assert!(world.daemon().terminate().success());
    let mut fsck = world.client("client");
    let printed = said(fsck.args(["fsck", "--json", "--root"]).arg(world.path("daemon")));
    as_the_schema_says("fsck", &[printed], &[]);
}

#[test]
fn events_are_told_as_the_schema_says() {
    let (world, daemon) = kinds();
    let mut lines = Vec::new();
    let (good, bad): (&[&str], &[&str]) = (&["fetch", "-c", "WHA=x"], &["fetch", "-e", "main", "", "none"]);
    for words in [good, bad] {
        let mut command = world.client_of(&daemon, "client");
        let output = run(command.args(words).args(["--events", "jsonl"]).arg(world.path("tree.json")));
        let said = text(&output.stderr);
        lines.extend(said.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
    }
    let told = |event: &str| lines.iter().any(|line| line["event"] == event);
    assert!(told("unknown_variable") && told("download") && told("error") && told("done"), "{lines:#?}");
    assert_eq!(refused(&schema("events"), &lines), BTreeSet::new(), "{lines:#?}");
    let (mut known, mut seen) = (BTreeSet::new(), BTreeSet::new());
    fields(&serde_json::from_slice(&fs::read(schema("events")).expect("readable")).expect("JSON"), &mut known);
    lines.iter().for_each(|line| keys(line, &mut seen));
    assert_eq!(seen.difference(&known).next(), None);
}

#[test]
fn what_is_not_as_a_schema_says_is_seen() {
    let (world, daemon) = kinds();
    let good = object(&mut verb(&world, &daemon, "tree.json", &["fetch", "--absent"]));
    let (mut less, mut other, mut more) = (good.clone(), good.clone(), good.clone());
    less["descriptor"].as_object_mut().expect("an object").remove("root");
    other["descriptor"]["tree"] = json!("blake3:00/1");
    more["descriptor"]["provenance"]["later"] = json!(1);
    let path = world.write("closed.json", closed("absent").to_string());
    let all = [good, less, other, more];
    assert_eq!(refused(&path, &all), BTreeSet::from([1, 2, 3]));
    assert_eq!(refused(&schema("absent"), &all), BTreeSet::from([1, 2]), "later programs may print more");
}
