//! `envserve explain`: a miss is explained by the one thing that was changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Daemon, World, fail, script, succeed, until};

/// A world in which an environment of several repositories was built.
struct Case {
    world: World,
    daemon: Daemon,
    spec: PathBuf,
}

/// Changes one thing: a file of the world, or the spec.
type Change = fn(&World, &mut Value);

impl Case {
    fn new() -> Self {
        let world = World::new();
        let tools = json!({
            "type": "tree",
            "flexible_config": ["ARCH", "DEBUG"],
            "inputs": {
                "bin": {"path": "bin"},
                "far": {"root": "far", "path": "a"},
                "lib": {"env": ["@", "lib", "", "library"]},
            },
        });
        let library = json!({
            "type": "tree",
            "inputs": {"data": {"path": "data"}, "deep": {"root": "deep", "path": "x"}},
        });
        world.write("lib/ENVS", json!({"library": library}).to_string());
        let environments = json!({"tools": tools, "other": tools}).to_string();
        for file in ["ENVS", "E", "mod/ENVS"] {
            world.write(&format!("main/{file}"), &environments);
        }
        world.write("main/bin/hello", "hello\n");
        world.write("main/bin/sub/more", "more\n");
        symlink("hello", world.path("main/bin/link")).expect("temporary");
        world.write("lib/data", "data\n");
        world.write("deep/x/y/z", "deep\n");
        world.write("far/a", "far\n");
        world.write("far/b", "far\n");
        let spec = world.write("spec.json", spec().to_string());
        let daemon = world.daemon();
        succeed(world.client_of(&daemon, "builder").arg("fetch").arg(&spec));
        Self { world, daemon, spec }
    }

    fn explain(&self, spec: &Path, arguments: &[&str]) -> Command {
        let mut command = self.world.client_of(&self.daemon, "asker");
        command.arg("explain").arg(spec).args(arguments);
        command
    }

    fn object(&self, spec: &Path, arguments: &[&str]) -> Value {
        let object = succeed(self.explain(spec, arguments).arg("--json"));
        serde_json::from_str(&object).expect("JSON")
    }
}

fn spec() -> Value {
    let repository = |path: &str, bindings: Value| {
        let root = json!({"type": "file", "path": path, "pragma": {"to_git": true}});
        json!({"repository": root, "bindings": bindings})
    };
    json!({
        "environment": ["main", "", "tools"],
        "config": {"ARCH": "x86_64", "UNSEEN": 1},
        "properties": {"OSFamily": "linux"},
        "repositories": {
            "main": repository("main", json!({"lib": "library", "far": "far"})),
            "library": repository("lib", json!({"deep": "deep"})),
            "deep": repository("deep", json!({})),
            "far": repository("far", json!({})),
        },
    })
}

/// Returns the one difference, without what is here and there.
fn only(object: &Value) -> Value {
    let differences = object["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), 1, "{object}");
    let mut difference = differences[0].clone();
    for value in ["here", "there"] {
        difference.as_object_mut().expect("an object").remove(value);
    }
    difference
}

fn root(repository: &str, bindings: &[&str], path: &str, change: &str) -> Value {
    json!({"component": "root", "repository": repository, "bindings": bindings, "path": path, "change": change})
}

fn of_repository(component: &str, repository: &str, bindings: &[&str], name: Option<&str>) -> Value {
    let mut object = json!({"component": component, "repository": repository, "bindings": bindings});
    if let Some(name) = name {
        object["name"] = name.into();
    }
    object
}

fn named(component: &str, name: &str) -> Value {
    json!({"component": component, "name": name})
}

/// Single changes of the content of a root, with what is said about each.
fn changes_of_content() -> Vec<(Change, Value)> {
    let executable = |world: &World, _: &mut Value| {
        fs::set_permissions(world.path("main/bin/hello"), fs::Permissions::from_mode(0o755)).expect("own file");
    };
    let retarget = |world: &World, _: &mut Value| {
        fs::remove_file(world.path("main/bin/link")).expect("there");
        symlink("sub/more", world.path("main/bin/link")).expect("temporary");
    };
    let to_link = |world: &World, _: &mut Value| {
        fs::remove_file(world.path("far/b")).expect("there");
        symlink("a", world.path("far/b")).expect("temporary");
    };
    let to_directory = |world: &World, _: &mut Value| {
        fs::remove_file(world.path("lib/data")).expect("there");
        world.write("lib/data/inner", "data\n");
    };
    let documented = |world: &World, _: &mut Value| {
        let text = fs::read_to_string(world.path("main/ENVS")).expect("there");
        let mut environments: Value = serde_json::from_str(&text).expect("JSON");
        environments["other"]["doc"] = json!(["Another one."]);
        world.write("main/ENVS", environments.to_string());
    };
    vec![
        (|world, _| drop(world.write("main/bin/hello", "changed\n")), root("main", &[], "bin/hello", "content")),
        (|world, _| drop(world.write("main/bin/sub/new", "")), root("main", &[], "bin/sub/new", "only here")),
        (documented, root("main", &[], "ENVS", "content")),
        (executable, root("main", &[], "bin/hello", "kind")),
        (retarget, root("main", &[], "bin/link", "content")),
        (|world, _| drop(world.write("deep/x/y/z", "x")), root("deep", &["lib", "deep"], "x/y/z", "content")),
        (to_directory, root("library", &["lib"], "data", "kind")),
        (|world, _| fs::remove_file(world.path("far/a")).expect("there"), root("far", &["far"], "a", "only there")),
        (to_link, root("far", &["far"], "b", "kind")),
    ]
}

/// Single changes of the spec.
fn changes_of_the_spec() -> Vec<(Change, Value)> {
    vec![
        (|_, spec| spec["config"]["ARCH"] = "arm".into(), named("variable", "ARCH")),
        (|_, spec| spec["config"]["ARCH"] = json!(["x86_64"]), named("variable", "ARCH")),
        (|_, spec| spec["config"] = json!({}), named("variable", "ARCH")),
        (|_, spec| spec["config"]["DEBUG"] = false.into(), named("variable", "DEBUG")),
        (|_, spec| spec["properties"]["OSFamily"] = "other".into(), named("property", "OSFamily")),
        (|_, spec| spec["properties"]["ISA"] = "arm".into(), named("property", "ISA")),
        (|_, spec| spec["properties"] = json!({}), named("property", "OSFamily")),
        (|_, spec| spec["environment"][2] = "other".into(), json!({"component": "name"})),
        (|_, spec| spec["environment"][1] = "mod".into(), json!({"component": "module"})),
        (
            |_, spec| spec["repositories"]["main"]["environments_file"] = "E".into(),
            of_repository("environments file", "main", &[], None),
        ),
        (
            |_, spec| spec["repositories"]["deep"]["environments_file"] = "E".into(),
            of_repository("environments file", "deep", &["lib", "deep"], None),
        ),
        (
            |_, spec| spec["repositories"]["far"]["bindings"]["new"] = "deep".into(),
            of_repository("binding", "far", &["far"], Some("new")),
        ),
        (
            |_, spec| spec["repositories"]["library"]["bindings"] = json!({}),
            of_repository("binding", "library", &["lib"], Some("deep")),
        ),
        (
            |_, spec| spec["repositories"]["main"]["bindings"]["far"] = "deep".into(),
            of_repository("binding", "main", &[], Some("far")),
        ),
    ]
}

#[test]
fn each_single_change_is_named_exactly() {
    let changes = [changes_of_content(), changes_of_the_spec()].concat();
    assert!(changes.len() >= 20);
    let case = Case::new();
    let original = case.world.path("original");
    fs::create_dir(&original).expect("temporary");
    let copy = |from: &Path, to: &Path| {
        for name in ["main", "lib", "deep", "far"] {
            succeed(Command::new("cp").arg("-a").arg(from.join(name)).arg(to));
        }
    };
    copy(&case.world.path(""), &original);
    for (number, (change, expected)) in changes.into_iter().enumerate() {
        for name in ["main", "lib", "deep", "far"] {
            fs::remove_dir_all(case.world.path(name)).expect("there");
        }
        copy(&original, &case.world.path(""));
        let mut changed = spec();
        change(&case.world, &mut changed);
        let changed = case.world.write("changed.json", changed.to_string());
        let object = case.object(&changed, &[]);
        assert_eq!((&object["state"], &object["was_there"]), (&json!("miss"), &json!(false)), "{number}: {object}");
        assert_eq!(only(&object), expected, "{number}: {object}");
    }
    assert_eq!(case.daemon.builds(), 2, "nothing was built to find that out");
}

#[test]
fn what_does_not_matter_is_a_hit() {
    let case = Case::new();
    let mut same = spec();
    same["config"]["UNSEEN"] = 2.into();
    same["repositories"]["unreachable"] = same["repositories"]["far"].clone();
    let far = same["repositories"]["far"].take();
    same["repositories"].as_object_mut().expect("an object").remove("far");
    same["repositories"]["a-new-name"] = far;
    same["repositories"]["main"]["bindings"]["far"] = "a-new-name".into();
    let same = case.world.write("same.json", same.to_string());
    let object = case.object(&same, &[]);
    assert_eq!((&object["state"], &object["compared"]), (&json!("hit"), &json!(null)), "{object}");
    let key = succeed(case.world.client("asker").arg("key").arg(&case.spec));
    assert_eq!(succeed(&mut case.explain(&same, &[])), format!("hit: {key}"));
}

#[test]
fn a_person_reads_it_too() {
    let case = Case::new();
    case.world.write("main/bin/hello", "changed\n");
    let said = succeed(&mut case.explain(&case.spec, &["-c", "ARCH=arm"]));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("miss: ") && lines[1].contains("`tools`, built "), "{said}");
    assert_eq!(lines[2], r#"  variable `ARCH`: `"arm"` here, `"x86_64"` there"#);
    assert!(lines[3].starts_with("  root of repository `main`: `bin/hello` differs (`"), "{said}");
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_key_or_another_spec_can_be_compared_with() {
    let case = Case::new();
    let key = succeed(case.world.client("asker").arg("key").arg(&case.spec));
    let mut changed = spec();
    changed["environment"][2] = "other".into();
    let changed = case.world.write("changed.json", changed.to_string());
    for against in [key.as_str(), &key[..64], &key[..12], case.spec.to_str().expect("a name")] {
        let object = case.object(&changed, &["--against", against]);
        assert_eq!(only(&object), json!({"component": "name"}), "{against}");
        assert_eq!(object["compared"]["key"], key, "{against}");
    }
    let itself = case.object(&case.spec, &["--against", &key]);
    assert_eq!((&itself["state"], &itself["differences"]), (&json!("hit"), &json!([])));
    let unknown = fail(&mut case.explain(&case.spec, &["--against", "abcdef0123"]), 1);
    assert!(unknown.contains("nothing is known of a key `abcdef0123`"), "{unknown}");
    let no_file = fail(&mut case.explain(&case.spec, &["--against", "no-such.json"]), 1);
    assert!(no_file.contains("cannot read the spec `no-such.json`"), "{no_file}");
}

#[test]
fn other_shards_are_told_apart_after_a_restart() {
    let Case { world, daemon, spec } = Case::new();
    let root = daemon.root.clone();
    assert!(daemon.terminate().success());
    for (options, component) in
        [(["--instance", "elsewhere"], "instance"), (["--digest-function", "sha256"], "digest function")]
    {
        let daemon = Daemon::start(&root, &options);
        let said = succeed(world.client_of(&daemon, "asker").args(["explain", "--json"]).arg(&spec));
        let object: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(only(&object), json!({"component": component}), "{object}");
        assert!(daemon.terminate().success());
    }
}

#[test]
fn an_entry_whose_blobs_were_evicted_is_told_from_one_that_never_was() {
    let world = World::new();
    let spec = world.spec("one", &json!({"one": script("echo x >out", &["out"])}));
    let daemon = Daemon::start(&world.path("daemon"), &["--lease-seconds", "1"]);
    succeed(world.client_of(&daemon, "client").arg("fetch").arg(&spec));
    let root = daemon.root.clone();
    assert!(daemon.terminate().success());
    // Nothing goes before its lease has ended.
    until("an end of the lease", || {
        let mut gc = Command::new(env!("CARGO_BIN_EXE_envserve"));
        gc.args(["gc", "--json", "--min-age-seconds", "0", "--max-age-days", "0", "--root"]).arg(&root);
        let evicted: Value = serde_json::from_str(&succeed(&mut gc)).expect("JSON");
        (evicted["removed_records"].as_u64() > Some(0)).then_some(())
    });
    let daemon = Daemon::start(&root, &[]);
    let said = succeed(world.client_of(&daemon, "asker").arg("explain").arg(&spec));
    assert!(said.starts_with("miss: ") && said.contains("something that it reaches is gone"), "{said}");
}

#[test]
fn a_first_environment_has_nothing_to_be_compared_with_and_no_server_need_be_configured() {
    let world = World::new();
    let spec = world.spec("one", &json!({"one": {"type": "tree", "inputs": {"e": {"path": "ENVS"}}}}));
    let said = succeed(world.client("client").arg("explain").arg(&spec));
    assert!(said.contains("nothing is remembered that it could be compared with"), "{said}");
    succeed(world.client("client").arg("fetch").arg(&spec));
    world.write("source/new", "");
    let said = succeed(world.client("client").arg("explain").arg(&spec));
    assert!(said.contains("root of repository `main`: `new` is only here"), "{said}");
}
