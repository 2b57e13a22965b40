//! Roots of every kind, set up by `just-mr` through the daemon.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Project, commit};
use crate::support::{Daemon, files, git, run, succeed, text};

/// Makes an archive of the directory `data`, with symlinks.
const ZIP: &str = "
import sys, zipfile
archive = zipfile.ZipFile(sys.argv[1], 'w')
for name, text in (('data/file', 'a file\\n'), ('data/sub/inner', 'inner\\n')):
    archive.writestr(name, text)
for name, target in (('data/link', 'file'), ('data/sub/up', '../file')):
    link = zipfile.ZipInfo(name)
    link.create_system, link.external_attr = 3, 0o120777 << 16
    archive.writestr(link, target)
";

/// Sources that the daemon knows, and how just-mr names them.
struct Roots {
    project: Project,
    all: BTreeMap<&'static str, Value>,
}

impl Roots {
    fn new() -> Self {
        let mut project = Project::new(&json!({}));
        let world = &project.world;
        world.write("known/data/file", "a file\n");
        world.write("known/data/sub/inner", "inner\n");
        world.write("consumer/own/theirs", "of the client\n");
        fs::create_dir(world.path("consumer/own/empty")).expect("temporary");
        let known = world.path("known");
        succeed(Command::new("tar").arg("-czf").arg(world.path("a.tgz")).arg("-C").arg(&known).arg("data"));
        succeed(Command::new("python3").args(["-c", ZIP]).arg(world.path("a.zip")));
        let tool = world.write("tool", "a tool\n");
        let uses = |name: &str| json!({"type": "tree", "inputs": {"root": {"root": name}}});
        let names = ["git", "tar", "zip", "ignored", "partial", "complete", "tree", "foreign", "distdir", "own"];
        let environments: BTreeMap<&str, Value> = names.into_iter().map(|name| (name, uses(name))).collect();
        world.write("known/envs/ENVS", json!(environments).to_string());
        project.commit = commit(&known);
        let blob = |path: &Path| git(&known, &["hash-object", "-w", path.to_str().expect("UTF-8")]);
        let [tgz, zip] = ["a.tgz", "a.zip"].map(|name| (name, blob(&project.world.path(name))));
        let archive = |kind: &str, (name, content): &(&str, String), pragma: Value| {
            let fetch = format!("http://127.0.0.1:1/{name}");
            json!({"type": kind, "content": content, "fetch": fetch, "subdir": "data", "pragma": pragma})
        };
        let tree = git(&known, &["rev-parse", "HEAD:data/sub"]);
        let all = BTreeMap::from([
            ("git", project.present("data")),
            ("tar", archive("archive", &tgz, json!({}))),
            ("zip", archive("zip", &zip, json!({}))),
            ("ignored", archive("zip", &zip, json!({"special": "ignore"}))),
            ("partial", archive("zip", &zip, json!({"special": "resolve-partially"}))),
            ("complete", archive("zip", &zip, json!({"special": "resolve-completely"}))),
            ("tree", json!({"type": "git tree", "id": tree, "cmd": ["false"]})),
            (
                "foreign",
                json!({"type": "foreign file", "content": blob(&tool), "name": "tool", "executable": true,
                "fetch": "http://127.0.0.1:1/tool"}),
            ),
            ("distdir", json!({"type": "distdir", "repositories": ["tar", "zip"]})),
            ("own", json!({"type": "file", "path": "own", "pragma": {"to_git": true}})),
        ]);
        Self { project, all }
    }

    /// Writes the description of the project, with its roots absent or not.
    fn describe(&self, absent: bool) {
        let repository = |(name, root): (&&'static str, &Value)| {
            let mut root = root.clone();
            root["pragma"]["absent"] = json!(absent);
            ((*name).to_owned(), json!({"repository": root}))
        };
        let mut repositories: serde_json::Map<_, _> = self.all.iter().map(repository).collect();
        let mut env = self.project.absent("envs");
        env["bindings"] =
            self.all.keys().map(|name| ((*name).to_owned(), json!(name))).collect::<serde_json::Map<_, _>>().into();
        repositories.insert("env".to_owned(), env);
        self.project.repositories(&Value::Object(repositories));
    }

    /// Sets everything up and returns the tree of each root.
    fn set_up(&self, daemon: &Daemon, client: &str) -> BTreeMap<String, Value> {
        let output = run(&mut self.project.just_mr(daemon, client, &["setup"]));
        assert!(output.status.success(), "{}\n{}", text(&output.stderr), daemon.log());
        let written = fs::read(text(&output.stdout).trim()).expect("the path of a description");
        let written: Value = serde_json::from_slice(&written).expect("JSON");
        let root = |name: &&str| ((*name).to_owned(), written["repositories"][name]["workspace_root"][1].clone());
        self.all.keys().map(root).collect()
    }
}

#[test]
fn absent_roots_of_every_kind_are_those_that_the_client_would_have_and_can_be_used() {
    let roots = Roots::new();
    let daemon = roots.project.daemon(&[]);
    roots.describe(true);
    let absent = roots.set_up(&daemon, "absent");
    for (name, expected) in [
        ("git", "file sub/inner"),
        ("tar", "file sub/inner"),
        ("zip", "file link sub/inner sub/up"),
        ("ignored", "file sub/inner"),
        ("partial", "file link sub/inner sub/up"),
        ("complete", "file link sub/inner sub/up"),
        ("tree", "inner"),
        ("foreign", "tool"),
        ("distdir", "a.tgz a.zip"),
        ("own", "theirs"),
    ] {
        roots.project.done(&daemon, "absent", &["--main", "env", "install", "-o", "result", name]);
        let root = roots.project.world.path(&format!("consumer/result/{name}/root"));
        let found = files(&root);
        let found: Vec<_> =
            found.iter().map(|path| path.strip_prefix(&root).expect("below").to_str().expect("UTF-8")).collect();
        assert_eq!(found.join(" "), expected, "{name}");
        let links = found.iter().filter(|path| root.join(path).is_symlink()).count();
        assert_eq!(
            links,
            match name {
                "zip" => 2,
                "partial" => 1,
                _ => 0,
            },
            "{name}"
        );
    }
    roots.describe(false);
    assert_eq!(roots.set_up(&daemon, "present"), absent);
}

#[test]
fn present_roots_come_from_the_daemon_when_nobody_else_has_them() {
    let roots = Roots::new();
    let daemon = roots.project.daemon(&[]);
    roots.describe(false);
    let trees = roots.set_up(&daemon, "client");
    let store = roots.project.build_root("client").join("repositories/generation-0/git");
    for (name, tree) in &trees {
        let listed = git(&store, &["ls-tree", "-r", tree.as_str().expect("an id")]);
        assert!(!listed.is_empty(), "{name}");
    }
    let content = git(&store, &["show", &format!("{}:sub/inner", trees["tar"].as_str().expect("an id"))]);
    assert_eq!(content, "inner");
    // And without it, there is nothing.
    let nobody = Daemon::start(&roots.project.world.path("nobody"), &[]);
    let mut command = roots.project.just_mr(&nobody, "another", &["setup"]);
    assert!(!run(&mut command).status.success());
}

#[test]
fn a_tree_of_the_client_is_known_to_the_next_one_by_its_id() {
    let roots = Roots::new();
    let daemon = roots.project.daemon(&[]);
    roots.describe(true);
    let trees = roots.set_up(&daemon, "first");
    let mut root = json!({"type": "git tree", "id": trees["own"], "cmd": ["false"]});
    root["pragma"] = json!({"absent": true});
    let mut env = roots.project.absent("envs");
    env["bindings"] = json!({"own": "own"});
    roots.project.repositories(&json!({"env": env, "own": {"repository": root}}));
    roots.project.done(&daemon, "second", &["--main", "env", "install", "-o", "result", "own"]);
    let content = fs::read_to_string(roots.project.world.path("consumer/result/own/root/theirs")).expect("there");
    assert_eq!(content, "of the client\n");
}
