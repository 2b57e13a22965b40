//! Environments of kind `nix` as a client has them: in a store, entered, registered. A server made up for this answers.

mod canned;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Daemon, World, fail, run, script, succeed, text};
use canned::{Canned, LIBRARY, PROGRAM, closure};

/// A client of a server that has one closure.
struct Case {
    world: World,
    daemon: Daemon,
    canned: Canned,
}

impl Case {
    fn new(variables: &[(&str, &str)]) -> Self {
        let world = World::new();
        let daemon = world.daemon();
        world.spec("program", &json!({"program": script("echo >x", &["x"])}));
        let canned = Canned::start(&daemon, &closure(20), variables);
        Self { world, daemon, canned }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = self.world.client("client");
        command.env("ENVSERVE_SERVE", &self.canned.address).arg(verb).arg(self.world.path("spec.json"));
        command
    }

    /// Nobody answers any more.
    fn offline(self) -> (World, String) {
        (self.world, self.canned.address)
    }
}

fn nix_store(store: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("nix-store");
    command.arg("--store").arg(store).args(["--option", "build-users-group", ""]).args(arguments);
    succeed(command.env("HOME", store).env_remove("NIX_REMOTE"))
}

#[test]
fn a_closure_is_fetched_once_and_then_without_a_connection() {
    let case = Case::new(&[]);
    let printed = succeed(&mut case.command("fetch"));
    let store = case.world.path("client/store/nix/store");
    assert_eq!(printed, format!("{0}/{PROGRAM}\n{0}/{LIBRARY}", store.display()));
    assert_eq!(succeed(case.command("fetch").arg("--probe")), "here");
    let absent = succeed(case.command("fetch").arg("--absent"));
    assert!(absent.starts_with("blake3:"), "{absent}");
    let (world, address) = case.offline();
    let mut again = world.client("client");
    again.env("ENVSERVE_SERVE", address).args(["fetch", "--json"]).arg(world.path("spec.json"));
    let object: Value = serde_json::from_str(&succeed(&mut again)).expect("JSON");
    assert_eq!(object["present"], true);
    assert_eq!(object["outputs"][1]["name"], "lib");
    assert_eq!(object["outputs"][1]["path"], format!("/nix/store/{LIBRARY}"));
    assert_eq!(object["outputs"][0]["place"], format!("{}/{PROGRAM}", store.display()));
    let gone = store.join(LIBRARY);
    succeed(Command::new("rm").arg("-rf").arg(&gone));
    fail(&mut again, 11);
}

#[test]
fn a_path_that_somebody_removed_is_fetched_again() {
    let case = Case::new(&[]);
    succeed(&mut case.command("fetch"));
    let gone = case.world.path("client/store/nix/store").join(LIBRARY);
    succeed(Command::new("rm").arg("-rf").arg(&gone));
    assert_eq!(succeed(case.command("fetch").arg("--probe")), "hit");
    succeed(&mut case.command("fetch"));
    assert_eq!(fs::read_to_string(gone.join("lib/text")).expect("there"), "library\n");
}

#[test]
fn a_command_sees_the_closure_and_is_the_process_that_was_started() {
    let case = Case::new(&[]);
    let shell = |words: &[&str]| {
        let mut command = case.command("shell");
        command.current_dir(case.world.path("source")).arg("--").args(words);
        command
    };
    assert_eq!(succeed(&mut shell(&["run", "a", "b c"])), "library a b c");
    let script = "pwd; id -u; echo $ENVSERVE_ENVIRONMENT $ROOT; cat /nix/store/*-program/share/library; exit 7";
    let output = run(&mut shell(&["sh", "-c", script]));
    let own = text(&run(Command::new("id").arg("-u")).stdout);
    let root = format!("/nix/store/{PROGRAM}");
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
    assert!(!Path::new("/nix/store").join(PROGRAM).exists(), "the host sees nothing of it");
    let written = run(&mut shell(&["sh", "-c", &format!("echo >/nix/store/{LIBRARY}/lib/text")]));
    assert!(!written.status.success(), "a store is read-only");
}

#[test]
fn variables_of_the_build_come_before_those_of_the_caller() {
    let variables = [("PATH", "/nix/store/a/bin:/nix/store/b/bin"), ("CC", "it's cc"), ("a;touch x", "1")];
    let case = Case::new(&variables);
    let output = run(&mut case.command("env"));
    let printed = text(&output.stdout);
    assert!(printed.contains("export PATH='/nix/store/a/bin:/nix/store/b/bin'${PATH:+:$PATH}\n"), "{printed}");
    assert!(printed.contains(r"export CC='it'\''s cc'"), "{printed}");
    assert!(printed.contains(&format!("export ROOT='/nix/store/{PROGRAM}'")), "{printed}");
    assert!(!printed.contains("touch"), "{printed}");
    assert!(text(&output.stderr).contains("envserve shell"), "{output:?}");
    let path = succeed(case.command("shell").env("PATH", "/usr/bin:/bin").args(["--", "sh", "-c", "echo $PATH $CC"]));
    assert_eq!(path, "/nix/store/a/bin:/nix/store/b/bin:/usr/bin:/bin it's cc");
}

#[test]
fn without_bubblewrap_the_host_cannot_enter() {
    let case = Case::new(&[]);
    let error = fail(case.command("shell").env("PATH", "/nowhere").args(["--", "/bin/true"]), 15);
    assert!(error.contains("`bwrap` is not installed") && error.contains("bubblewrap"), "{error}");
}

#[test]
fn links_are_made_to_all_outputs_and_copies_of_what_stands_alone() {
    let case = Case::new(&[]);
    let link = case.world.path("result");
    succeed(case.command("fetch").arg("-o").arg(&link));
    let store = case.world.path("client/store/nix/store");
    assert_eq!(fs::read_link(&link).expect("a link"), store.join(PROGRAM));
    assert_eq!(fs::read_link(case.world.path("result-lib")).expect("a link"), store.join(LIBRARY));
    assert_eq!(fs::read_dir(case.world.path("client/gcroots")).expect("made").count(), 2);
    let error = fail(case.command("fetch").arg("--install").arg(case.world.path("copy")), 1);
    assert!(error.contains("refers to") && error.contains(LIBRARY), "{error}");
}

#[test]
fn the_view_of_nix_is_registered_and_kept() {
    let case = Case::new(&[]);
    let (store, link) = (case.world.path("root"), case.world.path("result"));
    let fetch = || {
        let mut command = case.command("fetch");
        command.args(["--view", "nix", "--store"]).arg(&store).arg("-o").arg(&link);
        command
    };
    succeed(&mut fetch());
    nix_store(&store, &["--verify", "--check-contents"]);
    let program = format!("/nix/store/{PROGRAM}");
    assert_eq!(nix_store(&store, &["-q", "--references", &program]), format!("/nix/store/{LIBRARY}"));
    nix_store(&store, &["--gc"]);
    succeed(&mut fetch());
    nix_store(&store, &["--verify", "--check-contents"]);
    // Another client adds to a store with a database: it is registered, whatever the view.
    succeed(Command::new("rm").arg("-rf").arg(store.join("nix/var/nix/gcroots/envserve")));
    nix_store(&store, &["--gc"]);
    assert!(!store.join("nix/store").join(PROGRAM).exists());
    let mut other = case.world.client("other");
    other.env("ENVSERVE_SERVE", &case.canned.address).env("ENVSERVE_STORE", &store);
    succeed(other.arg("fetch").arg(case.world.path("spec.json")));
    nix_store(&store, &["--check-validity", &program]);
    let error = fail(fetch().env("PATH", "/nowhere"), 15);
    assert!(error.contains("`nix-store` is not installed"), "{error}");
}

#[test]
fn a_directory_has_no_view_of_nix() {
    let case = Case::new(&[]);
    let mut command = case.world.client_of(&case.daemon, "other");
    let error = fail(command.args(["fetch", "--view", "nix"]).arg(case.world.path("spec.json")), 2);
    assert!(error.contains("kind `tree` has no view `nix`"), "{error}");
}
