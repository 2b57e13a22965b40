//! Environments of kind `nix` as a client has them: in a store, entered, registered.

mod plan;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::nix::{Expression, descriptor, output};
use crate::support::{Daemon, World, fail, run, script, succeed, text};

/// A client of a daemon that has a closure of two objects: a program, and the library that it refers to.
struct Case {
    world: World,
    daemon: Daemon,
    spec: std::path::PathBuf,
    program: String,
    library: String,
}

impl Case {
    fn new() -> Self {
        let expression = Expression::features();
        let fields = json!({"outputs": ["out", "lib"], "provides": {"vars": {"ROOT": "{{@root}}"}}});
        let spec = expression.spec_of("program", &fields);
        let daemon = expression.world.daemon();
        let answer = descriptor(&mut expression.world.client_of(&daemon, "builder"), &spec);
        let name = |at: usize| answer["nix"]["outputs"][at]["path"].as_str().expect("a name").to_owned();
        let (program, library) = (name(0), name(1));
        assert_eq!(output(&answer), format!("/nix/store/{program}"));
        Self { world: expression.world, daemon, spec, program, library }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = self.world.client_of(&self.daemon, "client");
        command.arg(verb).arg(&self.spec);
        command
    }
}

fn nix_store(store: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("nix-store");
    command.arg("--store").arg(store).args(["--option", "build-users-group", ""]).args(arguments);
    succeed(command.env("HOME", store).env_remove("NIX_REMOTE"))
}

#[test]
fn a_closure_is_fetched_once_and_then_without_a_connection() {
    let case = Case::new();
    let (program, library) = (&case.program, &case.library);
    let printed = succeed(&mut case.command("fetch"));
    let store = case.world.path("client/store/nix/store");
    assert_eq!(printed, format!("{0}/{program}\n{0}/{library}", store.display()));
    assert_eq!(succeed(case.command("fetch").arg("--probe")), "here");
    let absent = succeed(case.command("fetch").arg("--absent"));
    assert!(absent.starts_with("blake3:"), "{absent}");
    let mut again = case.command("fetch");
    again.arg("--json");
    let Case { daemon, program, library, .. } = case;
    drop(daemon);
    let object: Value = serde_json::from_str(&succeed(&mut again)).expect("JSON");
    assert_eq!(object["present"], true);
    assert_eq!(object["outputs"][1]["name"], "lib");
    assert_eq!(object["outputs"][1]["path"], format!("/nix/store/{library}"));
    assert_eq!(object["outputs"][0]["place"], format!("{}/{program}", store.display()));
    let gone = store.join(library);
    succeed(Command::new("rm").arg("-rf").arg(&gone));
    fail(&mut again, 11);
}

#[test]
fn a_path_that_somebody_removed_is_fetched_again() {
    let case = Case::new();
    let library = &case.library;
    succeed(&mut case.command("fetch"));
    let gone = case.world.path("client/store/nix/store").join(library);
    succeed(Command::new("rm").arg("-rf").arg(&gone));
    assert_eq!(succeed(case.command("fetch").arg("--probe")), "hit");
    succeed(&mut case.command("fetch"));
    assert_eq!(fs::read_to_string(gone.join("lib/text")).expect("there"), "library\n");
}

#[test]
fn a_command_sees_the_closure_and_is_the_process_that_was_started() {
    let case = Case::new();
    let (program, library) = (&case.program, &case.library);
    let shell = |words: &[&str]| {
        let mut command = case.command("shell");
        command.current_dir(case.world.path("source")).arg("--").args(words);
        command
    };
    assert_eq!(succeed(&mut shell(&["run", "a", "b c"])), "library a b c");
    let script = "pwd; id -u; echo $ENVSERVE_ENVIRONMENT $ROOT; cat /nix/store/*-program/share/library; exit 7";
    let output = run(&mut shell(&["sh", "-c", script]));
    let own = text(&run(Command::new("id").arg("-u")).stdout);
    let root = format!("/nix/store/{program}");
    let directory = fs::canonicalize(case.world.path("source")).expect("there");
    assert_eq!(text(&output.stdout), format!("{}\n{own}{root} {root}\nlibrary\n", directory.display()));
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(run(&mut shell(&["sh", "-c", "kill -TERM $$"])).status.signal(), Some(15));
    let mut child = shell(&["sh", "-c", "echo $PPID $$; exec sleep 60"]).stdout(Stdio::piped()).spawn().expect("runs");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().expect("piped")), &mut line)
        .expect("readable");
    assert_eq!(line, format!("{} {}\n", std::process::id(), child.id()));
    succeed(Command::new("kill").arg("-INT").arg(child.id().to_string()));
    assert_eq!(child.wait().expect("ours").signal(), Some(2));
    assert!(!Path::new("/nix/store").join(program).exists(), "the host sees nothing of it");
    let written = run(&mut shell(&["sh", "-c", &format!("echo >/nix/store/{library}/lib/text")]));
    assert!(!written.status.success(), "a store is read-only");
}

#[test]
fn variables_of_the_build_come_before_those_of_the_caller() {
    let expression = Expression::features();
    let daemon = expression.world.daemon();
    let spec = expression.spec_of("work", &json!({"mode": "shell", "provides": {"vars": {"ROOT": "{{@root}}"}}}));
    let command = |verb| {
        let mut command = expression.world.client_of(&daemon, "client");
        command.arg(verb).arg(&spec);
        command
    };
    let output = run(&mut command("env"));
    let printed = text(&output.stdout);
    for words in ["export PATH='/nix/store/", "${PATH:+:$PATH}\n", r"export TEXT='it'\''s", "export ROOT='/nix/store/"]
    {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    assert!(text(&output.stderr).contains("envserve shell"), "{output:?}");
    let script = r#"printf '%s|' "$TEXT" "$HOOKED" "$(hello)" "$IN_NIX_SHELL" "${out-no}" "$HOME"; echo "$PATH""#;
    let said =
        succeed(command("shell").env("PATH", "/usr/bin:/bin").env("HOME", "/h").args(["--", "sh", "-c", script]));
    let expected = "it's \"quoted\"\n and $long|hello none|hello none|impure|no|/h|/nix/store/";
    assert!(said.starts_with(expected), "{said}");
    assert!(said.contains("-script/bin:/nix/store/") && said.ends_with("-bin/bin:/usr/bin:/bin"), "{said}");
}

#[test]
fn without_bubblewrap_the_host_cannot_enter() {
    let case = Case::new();
    let error = fail(case.command("shell").env("PATH", "/nowhere").args(["--", "/bin/true"]), 15);
    assert!(error.contains("`bwrap` is not installed") && error.contains("bubblewrap"), "{error}");
}

#[test]
fn links_are_made_to_all_outputs_and_copies_of_what_stands_alone() {
    let case = Case::new();
    let (program, library) = (&case.program, &case.library);
    let link = case.world.path("result");
    succeed(case.command("fetch").arg("-o").arg(&link));
    let store = case.world.path("client/store/nix/store");
    assert_eq!(fs::read_link(&link).expect("a link"), store.join(program));
    assert_eq!(fs::read_link(case.world.path("result-lib")).expect("a link"), store.join(library));
    assert_eq!(fs::read_dir(case.world.path("client/gcroots")).expect("made").count(), 2);
    let error = fail(case.command("fetch").arg("--install").arg(case.world.path("copy")), 1);
    assert!(error.contains("refers to") && error.contains(library), "{error}");
}

#[test]
fn the_view_of_nix_is_registered_and_kept() {
    let case = Case::new();
    let (program, library) = (&case.program, &case.library);
    let (store, link) = (case.world.path("root"), case.world.path("result"));
    let fetch = || {
        let mut command = case.command("fetch");
        command.args(["--view", "nix", "--store"]).arg(&store).arg("-o").arg(&link);
        command
    };
    succeed(&mut fetch());
    nix_store(&store, &["--verify", "--check-contents"]);
    let path = format!("/nix/store/{program}");
    assert_eq!(nix_store(&store, &["-q", "--references", &path]), format!("/nix/store/{library}"));
    nix_store(&store, &["--gc"]);
    succeed(&mut fetch());
    nix_store(&store, &["--verify", "--check-contents"]);
    // Another client adds to a store with a database: it is registered, whatever the view.
    succeed(Command::new("rm").arg("-rf").arg(store.join("nix/var/nix/gcroots/envserve")));
    nix_store(&store, &["--gc"]);
    assert!(!store.join("nix/store").join(program).exists());
    let mut other = case.world.client("other");
    other.env("ENVSERVE_SERVE", &case.daemon.address).env("ENVSERVE_STORE", &store);
    succeed(other.arg("fetch").arg(&case.spec));
    nix_store(&store, &["--check-validity", &path]);
    let error = fail(fetch().env("PATH", "/nowhere"), 15);
    assert!(error.contains("`nix-store` is not installed"), "{error}");
}

#[test]
fn a_directory_has_no_view_of_nix() {
    let world = World::new();
    let spec = world.spec("tree", &json!({"tree": script("echo >x", &["x"])}));
    let error = fail(world.client("client").args(["fetch", "--view", "nix"]).arg(spec), 2);
    assert!(error.contains("kind `tree` has no view `nix`"), "{error}");
}
