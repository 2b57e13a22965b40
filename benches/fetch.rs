//! Fetching the C toolchain, beside `cp` of the same tree in the same minutes.
//!
//! Prints a row per case: seconds of both (median of the rounds) and the ratio of each round's pair
//! (median, lowest, highest). Runs on a RAM file system where there is one. `cargo bench --bench fetch -- ROUNDS`.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "shared/daemon.rs"]
#[expect(dead_code, reason = "other benchmarks use more of it")]
mod daemon;
#[path = "shared/rounds.rs"]
mod rounds;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use daemon::{Daemon, Place};
use rounds::Rounds;

impl Place {
    /// Writes the example once more, with one file more in the toolchain: another environment of the same files.
    fn other_spec(&self, number: usize) -> PathBuf {
        let directory = self.path(&format!("example-{number}"));
        assert!(Command::new("cp").arg("-a").arg(example()).arg(&directory).status().expect("cp is there").success());
        let file = directory.join("env/ENVS");
        let text = fs::read_to_string(&file).expect("it was copied");
        let input = "{ \"bin\": {\"path\": \"bin\"}";
        assert!(text.contains(input), "the example has changed");
        let more = format!("{input}, \"more-{number}\": {{\"path\": \"ENVS\"}}");
        fs::write(&file, text.replacen(input, &more, 1)).expect("it is our copy");
        directory.join("spec.json")
    }

    fn fetch(&self, daemon: &Daemon, root: &str, spec: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_envserve"));
        command.args(["fetch", "--quiet"]).arg(spec);
        command.env("ENVSERVE_ROOT", self.path(root)).env("ENVSERVE_SERVE", &daemon.address);
        command
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/c-toolchain")
}

/// Runs a command that must succeed; returns its stdout and the seconds it took.
fn timed(command: &mut Command) -> (String, f64) {
    let start = Instant::now();
    let output = command.stderr(Stdio::inherit()).output().expect("the program is there");
    let seconds = start.elapsed().as_secs_f64();
    assert!(output.status.success(), "{command:?} failed");
    (String::from_utf8_lossy(&output.stdout).trim().to_owned(), seconds)
}

fn remove(path: &Path) {
    drop(Command::new("chmod").args(["-R", "u+w"]).arg(path).status());
    drop(fs::remove_dir_all(path));
}

fn main() {
    let rounds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(7);
    let place = Place::new();
    let daemon = Daemon::start("serve", &place.path("daemon"), &[]);
    let spec = example().join("spec.json");
    println!("preparing: the toolchain is built once …");
    let (environment, _) = timed(&mut place.fetch(&daemon, "builder", &spec));
    let copy = place.path("copy");
    let (mut first, mut warm, mut present) = (Rounds::default(), Rounds::default(), Vec::new());
    for round in 0..rounds {
        let other = place.other_spec(round);
        timed(&mut place.fetch(&daemon, "builder", &other));

        first.other.push(timed(Command::new("cp").arg("-a").arg(&environment).arg(&copy)).1);
        remove(&copy);
        first.own.push(timed(&mut place.fetch(&daemon, "client", &spec)).1);

        warm.other.push(timed(Command::new("cp").arg("-al").arg(&environment).arg(&copy)).1);
        remove(&copy);
        warm.own.push(timed(&mut place.fetch(&daemon, "client", &other)).1);

        present.push(timed(&mut place.fetch(&daemon, "client", &other)).1);
        remove(&place.path("client"));
    }
    println!("{rounds} rounds in {}", place.path("").display());
    first.print("first fetch, empty client, every blob verified", "cp -a");
    warm.print("known files into a new environment", "cp -al");
    present.sort_by(f64::total_cmp);
    println!("{:<44} {:>7.1} ms", "fetch of what is there, whole process", present[rounds / 2] * 1000.0);
}
