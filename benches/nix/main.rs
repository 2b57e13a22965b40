//! Closures of Nix: fetched into a store, entered, and fetched again after a change, beside what Nix takes for the same.
//!
//! Prints a row per case: seconds of both (median of the rounds) and the ratio of each round's pair
//! (median, lowest, highest). Runs on a RAM file system where there is one. Needs busybox-static and Nix.
//! `cargo bench --bench nix -- ROUNDS [closure] [shell] [change]`.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "../shared/daemon.rs"]
#[expect(dead_code, reason = "other benchmarks use more of it")]
mod daemon;
#[path = "../shared/rounds.rs"]
mod rounds;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use daemon::{Daemon, Place, fetch, run, toolchain};
use rounds::Rounds;
use serde_json::{Value, json};

/// The toolchain in a closure with a shell, and a tree of 300 MB that differs in one file.
const EXPRESSION: &str = r#"
{ tag ? "one" }:
let
  make = name: script: derivation {
    inherit name;
    system = "x86_64-linux";
    builder = "${./tools}/busybox";
    PATH = "${./tools}";
    args = [ "sh" "-euc" "b=${./tools}/busybox; ${script}" ];
  };
in rec {
  toolchain = make "toolchain" "$b mkdir $out; $b ln -s ${<toolchain>} $out/toolchain";
  work = derivation { name = "work"; system = "x86_64-linux"; builder = "${./tools}/busybox"; uses = toolchain; };
  large = make "large" ''
    $b mkdir $out
    n=0
    while [ $n -lt 3000 ]; do
      $b dd if=/dev/zero bs=100000 count=1 2>/dev/null | $b sed "s/^/$n/" >$out/$n
      n=$((n + 1))
    done
    echo ${tag} >$out/tag
  '';
}
"#;

/// What all cases work on.
struct Bench {
    place: Place,
    daemon: Daemon,
    rounds: usize,
}

impl Bench {
    fn new(rounds: usize) -> Self {
        let place = Place::new();
        let daemon = Daemon::start("serve", &place.path("daemon"), &[]);
        let source = place.path("source/source");
        std::fs::create_dir_all(source.join("tools")).expect("memory");
        std::fs::write(source.join("default.nix"), EXPRESSION).expect("memory");
        std::fs::copy("/bin/busybox", source.join("tools/busybox")).expect("busybox-static is installed");
        let nix = |attribute: &str, fields: Value| {
            let mut environment = json!({"type": "nix", "expression": {"path": "source"}, "attr": attribute});
            environment.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
            environment
        };
        let toolchain = json!({"env": ["@", "tools", "", "toolchain"]});
        let environments = json!({
            "toolchain": nix("toolchain", json!({"inputs": {"toolchain": &toolchain}})),
            "work": nix("work", json!({"mode": "shell", "inputs": {"toolchain": toolchain}})),
            "large": nix("large", json!({"flexible_config": ["TAG"], "args": {"tag": "{{TAG}}"}})),
        });
        std::fs::write(place.path("source/ENVS"), environments.to_string()).expect("memory");
        Self { place, daemon, rounds }
    }

    /// Writes a spec for one of the environments.
    fn spec(&self, name: &str, tag: &str) -> PathBuf {
        let from = toolchain();
        let mut spec: Value = serde_json::from_slice(&std::fs::read(&from).expect("an example")).expect("JSON");
        let example = from.parent().expect("has one").join("env");
        spec["repositories"]["tools"]["repository"]["path"] = json!(example);
        let root = json!({"type": "file", "path": self.place.path("source"), "pragma": {"to_git": true}});
        spec["repositories"]["main"] = json!({"repository": root, "bindings": {"tools": "tools"}});
        spec["environment"] = json!(["main", "", name]);
        spec["config"] = json!({"TAG": tag});
        let path = self.place.path(&format!("{name}-{tag}.json"));
        std::fs::write(&path, spec.to_string()).expect("memory");
        path
    }

    /// Returns a program of Nix that keeps what it needs below a directory.
    fn nix(&self, program: &str, home: &Path) -> Command {
        let mut command = Command::new(program);
        std::fs::create_dir_all(home).expect("memory");
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home).env("USER", "u");
        command.env("NIX_CONF_DIR", home.join("none"));
        let settings =
            "build-users-group =\nsubstitute = false\nrequire-sigs = false\nexperimental-features = nix-command\n";
        command.env("NIX_CONFIG", settings);
        command
    }

    /// Runs `work` on a new directory, which is removed afterwards, and returns the seconds it took.
    fn timed(&self, work: impl FnOnce(&Path)) -> f64 {
        let directory = self.place.path("round");
        std::fs::create_dir(&directory).expect("it was removed");
        let start = Instant::now();
        work(&directory);
        let seconds = start.elapsed().as_secs_f64();
        run(Command::new("chmod").args(["-R", "u+w"]).arg(&directory));
        std::fs::remove_dir_all(&directory).expect("it can be written");
        seconds
    }

    /// An empty client's `fetch --view nix`, and `nix copy` from a cache of files that are not compressed.
    fn closure(&self) {
        println!("preparing: the toolchain is built and copied once …");
        let spec = self.spec("toolchain", "one");
        let store = self.place.path("prepared");
        let (_, printed) = fetch(&spec, &self.daemon.address, &self.place.path("first"), &view(&store));
        let path = format!("/nix/store/{}", printed.rsplit('/').next().expect("a path"));
        let files = format!("file://{}?compression=none", self.place.path("files").display());
        let copy = |from: &[&str], home: &Path| {
            run(self.nix("nix", home).args(["copy", "--no-check-sigs"]).args(from).arg(&path));
        };
        copy(&["--from", store.to_str().expect("UTF-8"), "--to", &files], &self.place.path("copier"));
        let mut measured = Rounds::default();
        for _ in 0..self.rounds {
            measured.own.push(self.timed(|directory| {
                fetch(&spec, &self.daemon.address, &directory.join("root"), &view(&directory.join("store")));
            }));
            measured.other.push(self.timed(|directory| {
                let store = directory.join("store");
                copy(&["--from", &files, "--to", store.to_str().expect("UTF-8")], &directory.join("home"));
            }));
        }
        measured.print("closure of the toolchain into an empty store", "nix copy");
    }

    /// `envserve shell -- true` in an environment that is there, and `nix-shell` on the same derivation.
    fn shell(&self) {
        let spec = self.spec("work", "one");
        let root = self.place.path("client");
        fetch(&spec, &self.daemon.address, &root, &[]);
        let (home, expression) = (self.place.path("home"), self.place.path("source/source"));
        let (_, tree) = fetch(&toolchain(), &self.daemon.address, &root, &[]);
        let store = self.place.path("shells");
        let own = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_envserve"));
            command.arg("shell").arg(&spec).args(["--serve", &self.daemon.address, "--root"]).arg(&root);
            command.args(["--", "/bin/true"]);
            command
        };
        let other = || {
            let mut command = self.nix("nix-shell", &home);
            command.arg("--store").arg(&store).arg(&expression).args(["-A", "work", "--run", "true", "-I"]);
            command.arg(format!("toolchain={tree}"));
            command.env("NIX_BUILD_SHELL", "/bin/bash");
            command
        };
        let timed = |mut command: Command| {
            let start = Instant::now();
            run(&mut command);
            start.elapsed().as_secs_f64()
        };
        timed(other());
        let mut measured = Rounds::default();
        for _ in 0..5 * self.rounds {
            measured.own.push(timed(own()));
            measured.other.push(timed(other()));
        }
        measured.print("shell -- true, everything there", "nix-shell");
    }

    /// What of 300 MB comes over the wire when one file of them has changed.
    fn change(&self) {
        let root = self.place.path("changing");
        let fetched = |tag| {
            let (_, said) = fetch(&self.spec("large", tag), &self.daemon.address, &root, &["--json"]);
            let said: Value = serde_json::from_str(&said).expect("JSON");
            said["downloaded_bytes"].as_u64().expect("a number")
        };
        let (all, changed) = (fetched("one"), fetched("two"));
        println!(
            "one file of {all} bytes changed: {changed} bytes fetched, {:.4} %",
            changed as f64 / all as f64 * 100.0
        );
    }
}

/// Returns the options of a fetch into a store of Nix.
fn view(store: &Path) -> [&str; 4] {
    ["--view", "nix", "--store", store.to_str().expect("UTF-8")]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let all = !arguments.iter().any(|argument| ["closure", "shell", "change"].contains(&argument.as_str()));
    let wanted = |case: &str| all || arguments.iter().any(|argument| argument == case);
    let bench = Bench::new(rounds);
    println!("{rounds} rounds in {}", bench.place.path("").display());
    if wanted("closure") {
        bench.closure();
    }
    if wanted("shell") {
        bench.shell();
    }
    if wanted("change") {
        bench.change();
    }
}
