//! Many users at once: one daemon, one client each.
//!
//! `cargo bench --bench users -- [--quick] [--clients N] [--directory DIRECTORY] [--only cold|different]`. Every client is a
//! process with a root of its own that has nothing. The first table is about one environment that nobody has built, the
//! C toolchain of `examples/c-toolchain`; the second about as many environments as clients, which have nine tenths of
//! their files in common. With 100 clients it writes 38 GB.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod clients;
#[path = "../shared/daemon.rs"]
#[expect(dead_code, reason = "other benchmarks use more of it")]
mod daemon;
mod different;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;

use clients::Clients;
use daemon::{Place, run, toolchain};
use server::Server;

/// Measures many clients at once.
#[derive(Debug, Parser)]
struct Arguments {
    /// Ten clients, to see that it works.
    #[arg(long)]
    quick: bool,

    /// How many clients there are.
    #[arg(long, default_value_t = 100)]
    clients: usize,

    /// Where everything is kept while it runs [default: the directory for temporary files]
    #[arg(long)]
    directory: Option<PathBuf>,

    /// Only this table: cold or different.
    #[arg(long)]
    only: Option<String>,

    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One environment, which nobody has built.
fn cold(place: &Place, count: usize) {
    let server = Server::start(place, "cold");
    println!("\nthe C toolchain, {count} clients at once; the server has its sources, the clients do not");
    let spec = without_sources(place, &server);
    let clients = Clients::new(place, "cold", count);

    let begun = server.traffic();
    let first = clients.fetch(&server, |_| spec.clone());
    let sent = server.traffic() - begun;
    first.print("cold: built once, fetched by each");
    let lacked: u64 = first.downloaded.iter().sum();
    println!("    builds {}, clients that waited for one {}", server.builds(), server.joined());
    println!(
        "    each client lacked {:.1} MB; the server wrote {:.3} times what all lacked",
        lacked as f64 / 1e6 / count as f64,
        sent as f64 / lacked as f64
    );
    clients.fetch(&server, |_| spec.clone()).print("the same clients again: it is there");
    clients.forget();
    clients.fetch(&server, |_| spec.clone()).print("new clients, the server has it");
    clients.forget();
    assert_eq!(server.builds(), 1, "the environment is built once");
}

/// Gives the server the sources of the toolchain; returns a spec that names them by their ids alone.
fn without_sources(place: &Place, server: &Server) -> PathBuf {
    let (giver, spec) = (place.path("giver"), place.path("toolchain.json"));
    let client = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_envserve"));
        command.args(words).arg(toolchain()).args(["--serve", server.address(), "--root"]).arg(&giver);
        run(&mut command)
    };
    client(&["fetch", "--quiet", "--sources", "--backup-to-remote"]);
    std::fs::write(&spec, client(&["resolve"])).expect("it can be written");
    clients::remove(&giver);
    spec
}

fn main() {
    let Arguments { quick, clients, directory, only, .. } = Arguments::parse();
    let count = if quick { 10 } else { clients };
    let directory = directory.as_deref().map_or_else(std::env::temp_dir, Path::to_owned);
    let place = Place::from(tempfile::tempdir_in(directory).expect("a temporary directory can be made"));
    println!(
        "in {}, on {} cores",
        place.path("").display(),
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    let is_wanted = |name| only.as_ref().is_none_or(|only| only == name);
    if is_wanted("cold") {
        cold(&place, count);
    }
    if is_wanted("different") {
        different::different(&place, count);
    }
}
