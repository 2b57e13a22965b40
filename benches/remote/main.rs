//! Environments over a remote endpoint: from afar, and many at once.
//!
//! `cargo bench --bench remote -- [--seconds N] [distance] [hits]`. Prints round trips and the share of a link that a
//! fetch uses, each beside what the link itself carries in the same run; and hits per second beside `justbuild serve`.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "../shared/daemon.rs"]
#[expect(dead_code, reason = "other benchmarks use more of it")]
mod daemon;
mod distance;
mod hits;
mod just;
#[path = "../../tests/it/support/proxy.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod proxy;
mod repository;

use clap::Parser;

/// Measures environments over a remote endpoint.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure [default: both]
    #[arg(value_parser = ["distance", "hits"])]
    what: Vec<String>,

    /// How long each load runs.
    #[arg(long, default_value_t = 10)]
    seconds: u64,

    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let Arguments { what, seconds, .. } = Arguments::parse();
    let wanted = |name: &str| what.is_empty() || what.iter().any(|given| given == name);
    if wanted("distance") {
        distance::run();
    }
    if wanted("hits") {
        hits::run(seconds);
    }
}
