//! The binary cache: `nix copy --from` it, beside the same from nginx, which serves the same archives as plain files.
//!
//! `cargo bench --bench nix_cache -- [--quick] [--rounds N]`. Prints a row per case: seconds of both (median of the
//! rounds) and the ratio of each round's pair (median, lowest, highest). Runs on a RAM file system where there is one.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "../shared/daemon.rs"]
#[expect(dead_code, reason = "other benchmarks use more of it")]
mod daemon;
mod nginx;
mod nix;
#[path = "../shared/rounds.rs"]
mod rounds;

use clap::Parser;

use daemon::{Daemon, Place};
use nginx::Nginx;
use nix::Nix;
use rounds::Rounds;

/// Measures the binary cache.
#[derive(Debug, Parser)]
struct Arguments {
    /// Fewer rounds of fewer objects.
    #[arg(long)]
    quick: bool,

    /// How often both are measured.
    #[arg(long)]
    rounds: Option<usize>,

    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let Arguments { quick, rounds, .. } = Arguments::parse();
    let rounds = rounds.unwrap_or(if quick { 3 } else { 9 });
    let place = Place::new();
    let nix = Nix::new(&place);
    let objects = nix.make(if quick { 20 } else { 60 });
    let daemon = Daemon::start("serve", &place.path("daemon"), &["--nix-upload"]);
    let own = format!("http://{}/nix", daemon.address);
    nix.copy_to(&format!("{own}?compression=none"), &objects);
    nix.copy_to(&format!("file://{}?compression=none", place.path("files").display()), &objects);
    let nginx = Nginx::start(&place, &place.path("files"));
    println!("{} objects, {} MB in {} files", objects.len(), nix::MEGABYTES, nix::FILES);
    let cases = [
        ("archives as they are", own.clone(), "nginx"),
        ("compressed on the way", format!("{own}/zstd"), "nginx, plain"),
    ];
    for (case, from, other) in cases {
        let mut measured = Rounds::default();
        for _ in 0..rounds {
            measured.own.push(nix.copy_from(&from, &objects));
            measured.other.push(nix.copy_from(&nginx.address, &objects));
        }
        measured.print(case, other);
    }
}
