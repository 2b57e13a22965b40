//! Images: fetched to a root file system, fetched again after a change, and composed, beside what other programs take.
//!
//! `cargo bench --bench images -- [--quick] [--rounds N] [--megabytes N]`. Prints a row per case: seconds of both (median
//! of the rounds) and the ratio of each round's pair (median, lowest, highest). Runs on a RAM file system where there is one.
//! Needs skopeo, umoci and docker-registry.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "../shared/daemon.rs"]
#[expect(dead_code, reason = "other benchmarks use more of it")]
mod daemon;
#[path = "../shared/docker_registry.rs"]
mod docker_registry;
#[path = "../shared/image.rs"]
mod image;
#[path = "../shared/rounds.rs"]
mod rounds;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use clap::Parser;
use serde_json::Value;

use daemon::{Daemon, Place, fetch, run};
use docker_registry::{DockerRegistry, copy};
use image::{Source, tag};
use rounds::Rounds;

/// Measures images.
#[derive(Debug, Parser)]
struct Arguments {
    /// Fewer rounds.
    #[arg(long)]
    quick: bool,

    /// How often both are measured.
    #[arg(long)]
    rounds: Option<usize>,

    /// Size of the image.
    #[arg(long, default_value_t = 400)]
    megabytes: usize,

    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What all cases work on.
struct Bench {
    place: Place,
    daemon: Daemon,
    source: Source,
    rounds: usize,
}

impl Bench {
    /// The client that has the sources.
    fn keeper(&self) -> PathBuf {
        self.place.path("keeper")
    }

    fn spec(&self, at: &str) -> PathBuf {
        self.source.spec(&self.daemon, &self.keeper(), at)
    }

    /// Runs work on a new directory, which is removed afterwards, and returns the seconds it took.
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

    /// An empty client's fetch to a root file system, and skopeo and umoci from a registry, as plain and as gzip layers.
    fn root_file_system(&self, spec: &Path) {
        let registry = DockerRegistry::start(&self.place);
        let tag = tag(spec, &self.daemon, &self.keeper());
        for (suffix, case) in [("", "plain layers"), ("-gzip", "gzip layers")] {
            let theirs = format!("docker://{}/image:one{suffix}", registry.address);
            copy(&format!("docker://{}/image:{tag}{suffix}", self.daemon.address), &theirs);
            let mut measured = Rounds::default();
            for _ in 0..self.rounds {
                measured.own.push(self.timed(|directory| {
                    fetch(spec, &self.daemon.address, &directory.join("root"), &[]);
                }));
                measured.other.push(self.timed(|directory| {
                    let layout = format!("{}:image", directory.join("layout").display());
                    copy(&theirs, &format!("oci:{layout}"));
                    run(Command::new("umoci").args(["unpack", "--image", &layout]).arg(directory.join("bundle")));
                }));
            }
            measured.print(&format!("a root file system, empty client; {case}"), "skopeo, umoci");
        }
    }

    /// A fetch by a client that has the image but for one file, and the fetch of all.
    fn change(&self, spec: &Path) {
        let (before, sizes) = (self.place.path("before"), |said: &str| -> u64 {
            let said: Value = serde_json::from_str(said).expect("JSON");
            said["downloaded_bytes"].as_u64().expect("a number")
        });
        let (_, said) = fetch(spec, &self.daemon.address, &before, &["--json"]);
        let all = sizes(&said);
        self.source.change();
        let changed = self.spec("one");
        tag(&changed, &self.daemon, &self.keeper());
        let (mut measured, mut bytes) = (Rounds::default(), 0);
        for _ in 0..self.rounds {
            let client = self.place.path("client");
            run(Command::new("cp").arg("-a").arg(&before).arg(&client));
            let (took, said) = fetch(&changed, &self.daemon.address, &client, &["--json"]);
            bytes = sizes(&said);
            measured.own.push(took.as_secs_f64());
            run(Command::new("chmod").args(["-R", "u+w"]).arg(&client));
            std::fs::remove_dir_all(&client).expect("it can be written");
            measured.other.push(self.timed(|directory| {
                fetch(&changed, &self.daemon.address, &directory.join("root"), &[]);
            }));
        }
        measured.print("after a change of one file", "all of it");
        println!(
            "one file of {all} bytes of files changed: {bytes} fetched, {:.2} %",
            bytes as f64 / all as f64 * 100.0
        );
    }

    /// The composition of an image whose layers nobody has made before, of trees that are in the cache, and sha256sum
    /// of its archives.
    fn compose(&self, spec: &Path) {
        let layout = self.place.path("archives");
        let from = format!("docker://{}/image:{}", self.daemon.address, tag(spec, &self.daemon, &self.keeper()));
        copy(&from, &format!("oci:{}:image", layout.display()));
        let blobs = std::fs::read_dir(layout.join("blobs/sha256")).expect("a layout").flatten();
        let archives: Vec<PathBuf> = blobs.map(|blob| blob.path()).collect();
        let mut measured = Rounds::default();
        for round in 0..self.rounds {
            let spec = self.spec(&format!("round-{round}"));
            let (took, _) = fetch(&spec, &self.daemon.address, &self.keeper(), &["--absent"]);
            measured.own.push(took.as_secs_f64());
            let start = Instant::now();
            run(Command::new("sha256sum").args(&archives));
            measured.other.push(start.elapsed().as_secs_f64());
        }
        let more = measured.own.iter().zip(&measured.other).map(|(own, other)| own - other);
        let most = more.fold(f64::MIN, f64::max);
        measured.print("composed of cached environments", "sha256sum");
        println!("at most {most:.3} s more than hashing its layers");
    }
}

fn main() {
    let Arguments { quick, rounds, megabytes, .. } = Arguments::parse();
    let rounds = rounds.unwrap_or(if quick { 3 } else { 7 });
    let place = Place::new();
    println!("{rounds} rounds with {megabytes} MB in {}; preparing …", place.path("").display());
    let source = Source::make(&place, megabytes);
    let daemon = Daemon::start("serve", &place.path("daemon"), &[]);
    let bench = Bench { place, daemon, source, rounds };
    let spec = bench.spec("one");
    bench.compose(&spec);
    bench.root_file_system(&spec);
    bench.change(&spec);
}
