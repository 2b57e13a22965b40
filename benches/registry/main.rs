//! The registry: `podman pull` from it, beside the same from docker-registry, which has the same blobs as files.
//!
//! `cargo bench --bench registry -- [--quick] [--rounds N] [--megabytes N]`. Prints a row per case: seconds of both (median
//! of the rounds) and the ratio of each round's pair (median, lowest, highest). Runs on a RAM file system where there is one.
//! Needs podman, skopeo and docker-registry.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "../shared/daemon.rs"]
#[expect(dead_code, reason = "other benchmarks use more of it")]
mod daemon;
#[path = "../shared/docker_registry.rs"]
mod docker_registry;
#[path = "../shared/image.rs"]
#[expect(dead_code, reason = "other benchmarks use more of it")]
mod image;
#[path = "../shared/rounds.rs"]
mod rounds;

use std::process::Command;
use std::time::Instant;

use clap::Parser;

use daemon::{Daemon, Place, run};
use docker_registry::{DockerRegistry, copy};
use image::{Source, tag};
use rounds::Rounds;

/// Measures the registry.
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

fn main() {
    let Arguments { quick, rounds, megabytes, .. } = Arguments::parse();
    let rounds = rounds.unwrap_or(if quick { 3 } else { 7 });
    let place = Place::new();
    println!("{rounds} rounds with {megabytes} MB in {}; preparing …", place.path("").display());
    let source = Source::make(&place, megabytes);
    let daemon = Daemon::start("serve", &place.path("daemon"), &[]);
    let registry = DockerRegistry::start(&place);
    let keeper = place.path("keeper");
    let tag = tag(&source.spec(&daemon, &keeper, "one"), &daemon, &keeper);
    for (suffix, case) in [("", "plain layers"), ("-gzip", "gzip layers")] {
        let own = format!("{}/image:{tag}{suffix}", daemon.address);
        let other = format!("{}/image:one{suffix}", registry.address);
        copy(&format!("docker://{own}"), &format!("docker://{other}"));
        let mut measured = Rounds::default();
        for _ in 0..rounds {
            measured.own.push(pull(&place, &own));
            measured.other.push(pull(&place, &other));
        }
        measured.print(&format!("podman pull, {case}"), "docker-registry");
    }
}

/// Pulls an image into an empty storage, which is removed afterwards, and returns the seconds it took.
fn pull(place: &Place, image: &str) -> f64 {
    let storage = place.path("podman");
    let podman = || {
        let mut command = Command::new("podman");
        command.arg("--root").arg(storage.join("root")).arg("--runroot").arg(storage.join("run"));
        command.args(["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]);
        command
    };
    let start = Instant::now();
    run(podman().args(["pull", "--quiet", "--tls-verify=false", image]));
    let seconds = start.elapsed().as_secs_f64();
    run(podman().args(["rmi", "--all", "--force"]));
    std::fs::remove_dir_all(&storage).expect("it can be written");
    seconds
}
