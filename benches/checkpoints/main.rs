//! Copies of warm services: until the first answer, beside what they would take without a checkpoint, and beside bare runc.
//!
//! `cargo bench --bench checkpoints -- [--quick] [--rounds N] [--copies N] [--only NAME] [--debian DIRECTORY]`. The services
//! are those of `examples/testcontainers`. Both sides of a comparison are measured in turn in each round. Needs root, runc,
//! CRIU, mmdebstrap and Python.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod answer;
mod copies;
#[path = "../shared/daemon.rs"]
#[expect(dead_code, reason = "other benchmarks use more of it")]
mod daemon;
#[path = "../shared/rounds.rs"]
mod rounds;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use clap::Parser;

use answer::Question;
use copies::Service;
use daemon::{Daemon, Place, run};
use rounds::Rounds;

/// Measures copies of warm services.
#[derive(Debug, Parser)]
struct Arguments {
    /// Fewer rounds.
    #[arg(long)]
    quick: bool,

    /// How often both are measured.
    #[arg(long)]
    rounds: Option<usize>,

    /// How many copies are started at once.
    #[arg(long, default_value_t = 20)]
    copies: usize,

    /// Only this service: postgresql or tomcat.
    #[arg(long)]
    only: Option<String>,

    /// What `debian.sh` of the example has made, instead of making it.
    #[arg(long)]
    debian: Option<PathBuf>,

    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Lays out the example, with its packages.
fn example(place: &Place, debian: Option<&Path>) {
    let (example, copy) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/testcontainers"), place.path("example"));
    run(Command::new("cp").arg("-a").arg(example).arg(&copy));
    let here = copy.join("debian");
    match debian {
        Some(debian) if !here.exists() => drop(run(Command::new("cp").arg("-a").arg(debian).arg(&here))),
        None if !here.exists() => drop(run(Command::new("sh").arg(copy.join("debian.sh")))),
        _ => {}
    }
}

/// A copy in the form that is chosen, beside what it takes without a checkpoint.
fn beside_cold(service: &Service, rounds: usize) {
    let mut measured = Rounds::default();
    for _ in 0..rounds {
        measured.own.push(service.first_answer(&[]));
        measured.other.push(service.first_answer(&["--form", "cold"]));
    }
    measured.print(&format!("{}: up, first answer", service.name), "cold");
}

/// A copy in a form, beside runc alone on the same.
fn beside_runc(service: &Service, form: &str, rounds: usize, place: &Place) {
    let keeper = match service.up_in(form) {
        Ok(keeper) => keeper,
        Err(error) => return println!("{}: not in the form {form}: {error}", service.name),
    };
    let mut measured = Rounds::default();
    for _ in 0..rounds {
        measured.own.push(service.first_answer(&["--form", form]));
        measured.other.push(service.bare(&keeper, place));
    }
    let more = measured.own.iter().zip(&measured.other).map(|(own, other)| own - other).collect();
    measured.print(&format!("{}: up, {form}", service.name), "runc");
    println!("    more than runc: {}", spread(more));
}

/// Many copies at once, beside a single one: how long each took, and when the last one answered.
fn at_once(service: &Service, count: usize, rounds: usize) {
    let (mut alone, mut starts, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.extend(service.up(1, &[]).starts());
        let begun = Instant::now();
        let copies = service.up(count, &[]);
        thread::scope(|scope| {
            for number in 0..count {
                let address = copies.address(number);
                scope.spawn(move || service.question.ask(&address));
            }
        });
        all.push(begun.elapsed().as_secs_f64());
        starts.extend(copies.starts());
    }
    let p99 = percentile(&mut starts, 99) / percentile(&mut alone, 50);
    println!("{}: {count} at once, each from its begin until it was ready: {}", service.name, spread(starts));
    println!("    a single one: {}; p99 of {count} at once / median of a single one: {p99:.2}", spread(alone));
    println!("    until all have answered: {}", spread(all));
}

fn percentile(list: &mut [f64], percent: usize) -> f64 {
    list.sort_by(f64::total_cmp);
    list[(list.len() * percent).div_ceil(100) - 1]
}

/// Returns the median, lowest and highest of a list, and how many these are.
fn spread(mut list: Vec<f64>) -> String {
    let median = percentile(&mut list, 50);
    let (lowest, highest) = (list[0], list[list.len() - 1]);
    format!("{median:.3} s [{lowest:.3}-{highest:.3}], n={}", list.len())
}

fn main() {
    let Arguments { quick, rounds, copies, only, debian, .. } = Arguments::parse();
    let rounds = rounds.unwrap_or(if quick { 3 } else { 7 });
    let place = Place::from(tempfile::tempdir().expect("a temporary directory can be made"));
    println!("{rounds} rounds in {}; preparing …", place.path("").display());
    example(&place, debian.as_deref());
    let daemon = Daemon::start("serve", &place.path("daemon"), &["--checkpoints-for-all"]);
    for (name, question, port) in [("postgresql", Question::Orders, 5432), ("tomcat", Question::Page, 8080)] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let begun = Instant::now();
        let service = Service::new(name, question, port, &place, &daemon);
        let form = service.up(1, &[]).form().to_owned();
        println!(
            "{name}: built and fetched in {:.1} s; its fastest form here is {form}",
            begun.elapsed().as_secs_f64()
        );
        // Everything that is used once has been, and what is read is in memory.
        service.first_answer(&["--form", "cold"]);
        beside_cold(&service, rounds);
        for form in ["memory", "filesystem"] {
            beside_runc(&service, form, rounds, &place);
        }
        at_once(&service, copies, rounds);
    }
}
