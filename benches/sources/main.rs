//! Taking sources in: directories and archives into a fresh Git cache and a fresh CAS, beside what `git` and `tar`
//! take for the same in the same minutes.
//!
//! Prints a row per case: seconds of both (median of the rounds) and the ratio of each round's pair
//! (median, lowest, highest). Runs on a RAM file system where there is one.
//! `cargo bench --bench sources -- ROUNDS [directory] [archive] [asked]`.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod archive;
mod asked;
#[path = "../shared/daemon.rs"]
#[expect(dead_code, reason = "other benchmarks use more of it")]
mod daemon;
mod directory;
#[path = "../shared/rounds.rs"]
mod rounds;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use daemon::{Daemon, Place, fetch, run, toolchain};
use tokio::runtime::Runtime;

/// What all cases work on.
struct Bench {
    place: Place,
    runtime: Runtime,
    /// The unpacked toolchain.
    tree: PathBuf,
    rounds: usize,
}

impl Bench {
    fn new(rounds: usize) -> Self {
        let place = Place::new();
        let daemon = Daemon::start("serve", &place.path("daemon"), &[]);
        println!("preparing: the toolchain is built once …");
        let (_, tree) = fetch(&toolchain(), &daemon.address, &place.path("builder"), &[]);
        Self { place, runtime: Runtime::new().expect("a runtime"), tree: tree.into(), rounds }
    }

    /// Runs `work` on a new directory, which is removed afterwards; returns what it gives and the seconds it took.
    fn timed<T>(&self, work: impl FnOnce(&Path) -> T) -> (T, f64) {
        let directory = self.place.path("round");
        std::fs::create_dir(&directory).expect("it was removed");
        let start = Instant::now();
        let given = work(&directory);
        let seconds = start.elapsed().as_secs_f64();
        run(Command::new("chmod").args(["-R", "u+w"]).arg(&directory));
        std::fs::remove_dir_all(&directory).expect("it can be written");
        (given, seconds)
    }
}

/// Puts a directory into a fresh Git repository and returns its tree id.
fn git_add(tree: &Path, repository: &Path) -> String {
    let git = || {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(repository).arg("--work-tree").arg(tree).current_dir(tree);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    };
    run(git().args(["init", "--quiet"]));
    run(git().args(["add", "--all", "--force"]));
    run(git().arg("write-tree"))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let all = !arguments.iter().any(|argument| ["directory", "archive", "asked"].contains(&argument.as_str()));
    let wanted = |case: &str| all || arguments.iter().any(|argument| argument == case);
    let bench = Bench::new(rounds);
    println!("{rounds} rounds in {}", bench.place.path("").display());
    if wanted("directory") {
        directory::measure(&bench);
    }
    if wanted("archive") {
        archive::measure(&bench);
    }
    if wanted("asked") {
        asked::measure(&bench);
    }
}
