//! The main job: an environment built once, and fetched.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{World, contents, files, git, run, script, spec, succeed, text};

fn greeting() -> Value {
    json!({
        "greeting": {
            "type": "tree",
            "flexible_config": ["WHO"],
            "inputs": {"in/words": {"path": "words"}},
            "cmd": ["/bin/sh", "-c", "mkdir out && sed 's/X/{{WHO}}/' in/words >out/text && ln -s text out/link && printf '#!/bin/sh\\ncat \"${0%%/*}/text\"\\n' >out/run && chmod +x out/run"],
            "outs": ["out"],
            "env": {"PATH": "/usr/bin:/bin"},
        },
        "both": {
            "type": "tree",
            "flexible_config": ["WHO"],
            "inputs": {"a": {"env": "greeting", "path": "out"}, "b/words": {"path": "words"}},
            "provides": {"path": ["a"], "vars": {"GREETING": "{{@root}}/a/text", "WHO": "{{WHO}}"}},
        },
    })
}

fn world() -> (World, std::path::PathBuf) {
    let world = World::new();
    world.write("source/words", "hello X\n");
    let spec = world.spec("both", &greeting());
    (world, spec)
}

#[test]
fn an_environment_is_built_and_lies_in_a_directory() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let directory = succeed(world.client_of(&daemon, "client").arg("fetch").arg(&spec).args(["-c", "WHO=you"]));
    let expected = [
        ("a/link", 0, "text"),
        ("a/run", 0o555, "#!/bin/sh\ncat \"${0%/*}/text\"\n"),
        ("a/text", 0o444, "hello you\n"),
        ("b/words", 0o444, "hello X\n"),
    ];
    let expected: Vec<_> = expected.map(|(name, mode, text)| (name.to_owned(), mode, text.into())).into();
    assert_eq!(contents(Path::new(&directory)), expected);
    assert_eq!(fs::metadata(Path::new(&directory).join("a")).expect("there").permissions().mode() & 0o777, 0o555);
    assert_eq!(succeed(&mut Command::new(Path::new(&directory).join("a/run"))), "hello you");
    assert_eq!(daemon.builds(), 2);
}

#[test]
fn a_second_fetch_opens_no_connection() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let fetch = |command: &mut Command| succeed(command.arg("fetch").arg(&spec).args(["-c", "WHO=you"]));
    let first = fetch(&mut world.client_of(&daemon, "client"));
    let trace = world.path("trace");
    let client = world.client_of(&daemon, "client");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-e", "trace=connect,socket", "-o"]).arg(&trace).arg(client.get_program());
    client.get_envs().for_each(|(name, value)| {
        traced.env(name, value.unwrap_or_default());
    });
    assert_eq!(fetch(&mut traced), first);
    let trace = fs::read_to_string(trace).expect("strace wrote it");
    assert!(!trace.contains("connect(") && !trace.contains("socket("), "{trace}");
}

#[test]
fn configuration_that_does_not_matter_does_not_rebuild() {
    let (world, spec) = world();
    let daemon = world.daemon();
    for (root, other) in [("one", "OTHER=1"), ("two", "OTHER=2")] {
        succeed(world.client_of(&daemon, root).arg("fetch").arg(&spec).args(["-c", "WHO=you", "-c", other]));
    }
    assert_eq!(daemon.builds(), 2);
    succeed(world.client_of(&daemon, "one").arg("fetch").arg(&spec).args(["-c", "WHO=me"]));
    assert_eq!(daemon.builds(), 4);
}

#[test]
fn the_daemon_answers_after_the_sources_are_gone_and_after_it_was_killed() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let fetch = |daemon: &_, root| {
        let args = ["-c", "WHO=you"];
        contents(Path::new(&succeed(world.client_of(daemon, root).arg("fetch").arg(&spec).args(args))))
    };
    let first = fetch(&daemon, "one");
    let resolved = succeed(world.client("one").arg("resolve").arg(&spec));
    assert!(resolved.contains("git tree"));
    let daemon = daemon.kill_and_restart();
    assert_eq!(fetch(&daemon, "two"), first);
    assert_eq!(daemon.builds(), 2, "the log of both lives shows the builds of the first");
}

#[test]
fn files_are_shared_between_environments() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let fetch = |who: &str| {
        let config = format!("WHO={who}");
        succeed(world.client_of(&daemon, "client").arg("fetch").arg(&spec).args(["-c", &config]))
    };
    let inode = |directory: String| fs::metadata(Path::new(&directory).join("b/words")).expect("there").ino();
    assert_eq!(inode(fetch("you")), inode(fetch("me")));
}

#[test]
fn two_clients_may_fetch_the_same_into_one_root_at_once() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let start = || {
        let mut command = world.client_of(&daemon, "client");
        command.arg("fetch").arg(&spec).args(["-c", "WHO=you"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary is there")
    };
    let outputs: Vec<_> = [start(), start(), start(), start()]
        .into_iter()
        .map(|child| child.wait_with_output().expect("it ran"))
        .collect();
    for output in &outputs {
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(output.stdout, outputs[0].stdout);
    }
    let left: Vec<_> = files(&world.path("client/environments"))
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(".partial"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_fetch_that_was_interrupted_goes_on_from_what_is_there() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let fetch =
        || succeed(world.client_of(&daemon, "client").arg("fetch").arg(&spec).args(["-c", "WHO=you", "--json"]));
    let first: Value = serde_json::from_str(&fetch()).expect("JSON");
    let directory = first["directory"].as_str().expect("text");
    // What a kill leaves behind: blobs in the store, a partial directory, no environment.
    let whole = contents(Path::new(directory));
    let partial = Path::new(directory).with_extension("partial");
    assert!(Command::new("cp").arg("-al").arg(directory).arg(&partial).status().expect("cp").success());
    let open_up = ["-type", "d", "-exec", "chmod", "u+w", "{}", "+"];
    assert!(Command::new("find").arg(directory).args(open_up).status().expect("find").success());
    fs::remove_dir_all(directory).expect("writable");
    let again: Value = serde_json::from_str(&fetch()).expect("JSON");
    assert_eq!(again["downloaded_bytes"], 0);
    assert_eq!(contents(Path::new(directory)), whole);
    assert!(!partial.exists());
}

#[test]
fn an_out_link_points_at_the_environment_and_an_installed_copy_can_be_changed() {
    let (world, spec) = world();
    let daemon = world.daemon();
    let (link, own) = (world.path("current"), world.path("own"));
    let mut command = world.client_of(&daemon, "client");
    command.arg("fetch").arg(&spec).args(["-c", "WHO=you", "-o"]).arg(&link).arg("--install").arg(&own);
    let directory = succeed(&mut command);
    assert_eq!(fs::read_link(&link).expect("a link"), Path::new(&directory));
    fs::write(own.join("b/words"), "mine").expect("writable");
    assert_eq!(fs::read_to_string(Path::new(&directory).join("b/words")).expect("there"), "hello X\n");
}

#[test]
fn a_commit_in_a_git_repository_is_a_root() {
    let world = World::new();
    world.write(
        "repository/tools/ENVS",
        json!({"one": {"type": "tree", "inputs": {"f": {"path": "tools/f"}}}}).to_string(),
    );
    world.write("repository/tools/f", "content");
    let repository = world.path("repository");
    git(&repository, &["init", "-q", "-b", "trunk"]);
    git(&repository, &["add", "-A"]);
    git(&repository, &["commit", "-q", "-m", "first"]);
    let commit = git(&repository, &["rev-parse", "HEAD"]);
    world.write("repository/tools/f", "later content");
    git(&repository, &["commit", "-q", "-a", "-m", "second"]);
    let mut wanted = spec("one");
    wanted["environment"] = json!(["main", "tools", "one"]);
    wanted["repositories"]["main"]["repository"] =
        json!({"type": "git", "repository": "./repository", "branch": "trunk", "commit": commit});
    let path = world.write("spec.json", wanted.to_string());
    let daemon = world.daemon();
    let directory = succeed(world.client_of(&daemon, "client").arg("fetch").arg(&path));
    assert_eq!(fs::read_to_string(Path::new(&directory).join("f")).expect("there"), "content");
    let key = succeed(world.client_of(&daemon, "client").arg("key").args(["--json"]).arg(&path));
    let tree = git(&repository, &["rev-parse", &format!("{commit}^{{tree}}")]);
    assert!(key.contains(&tree), "{key}");
}

#[test]
fn a_failing_build_is_an_outcome_with_its_log_and_is_tried_again() {
    let world = World::new();
    let flag = "echo first line; echo to stderr >&2; exit 3";
    let spec = world.spec("broken", &json!({"broken": script(flag, &["out"])}));
    let daemon = world.daemon();
    for _ in 0..2 {
        let output = run(world.client_of(&daemon, "client").arg("fetch").arg(&spec));
        assert_eq!(output.status.code(), Some(16));
        let stderr = text(&output.stderr);
        for part in ["exit code 3", "first line", "to stderr", "hint:"] {
            assert!(stderr.contains(part), "{part}: {stderr}");
        }
    }
}
