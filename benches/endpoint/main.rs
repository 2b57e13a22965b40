//! Our endpoint beside others, under the same load in the same minutes.
//!
//! Every server is started anew for each row and round, with an empty store on the same file system, and the
//! servers take turns within a round. Prints for each line of a row the median time and the median processor
//! time of every server, and the ratio of its time to that of ours (above one: ours is faster). What a server
//! does not offer is printed as `—` with the reason, and is no win for anyone.
//!
//! `cargo bench --bench endpoint -- --help`.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod client;
mod data;
mod message;
mod report;
mod rows;
mod server;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Parser;

use client::Unable;
use report::{Measure, Rounds};
use rows::{Bases, Load, Round, Row};
use server::{Candidate, Program};

/// Longest time for one row of one server in one round.
const LIMIT: Duration = Duration::from_secs(120);
/// The same for filling an index.
const INDEX_LIMIT: Duration = Duration::from_secs(3600);

/// Measures our endpoint beside other servers of the REAPI.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rows to measure [default: all but `index`]
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<Row>,

    /// Rounds, of which medians are printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// A twentieth of the load.
    #[arg(long)]
    quick: bool,

    /// Blobs with which the index is filled; asks for the row `index`.
    #[arg(long, value_name = "BLOBS")]
    index: Option<usize>,

    /// A server that runs already; may be given more than once.
    #[arg(long = "server", value_name = "NAME=HOST:PORT[/INSTANCE]", value_parser = running)]
    servers: Vec<Candidate>,

    /// Another build of envserve, or ours with other options of `serve`; may be given more than once.
    #[arg(long = "build", value_name = "NAME=[PROGRAM] [OPTION]…", value_parser = build)]
    builds: Vec<Candidate>,

    /// Only servers of these names.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,

    /// Directory of the peers' programs [default: those that `.ci/peers` has unpacked]
    #[arg(long, value_name = "DIR")]
    peers: Option<PathBuf>,

    /// Where the stores lie [default: a RAM file system]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,

    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

fn running(text: &str) -> Result<Candidate, String> {
    let (name, address) = text.split_once('=').ok_or("NAME=HOST:PORT is expected")?;
    let (address, instance) = address.split_once('/').unwrap_or((address, ""));
    Ok(Candidate { name: name.to_owned(), program: Program::Running(address.to_owned(), instance.to_owned()) })
}

fn build(text: &str) -> Result<Candidate, String> {
    let (name, command) = text.split_once('=').ok_or("NAME=PROGRAM is expected")?;
    let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    let other = words.first().is_some_and(|word| !word.starts_with('-'));
    let program = if other { words.remove(0) } else { env!("CARGO_BIN_EXE_envserve").to_owned() };
    Ok(Candidate { name: name.to_owned(), program: Program::Envserve(program.into(), words) })
}

impl Arguments {
    /// Returns the servers to measure: ours first, then those peers whose programs are there.
    fn candidates(&self) -> Vec<Candidate> {
        let own = Program::Envserve(env!("CARGO_BIN_EXE_envserve").into(), Vec::new());
        let mut all = vec![Candidate { name: "envserve".to_owned(), program: own }];
        all.extend(self.builds.iter().cloned());
        let programs = self.peers.clone().unwrap_or_else(peers_programs);
        let peers = [
            ("casd", "buildbox-casd", Program::Casd(programs.clone())),
            ("just", "justbuild", Program::Just(programs.clone())),
        ];
        for (name, file, program) in peers {
            if !self.wants(name) {
                continue;
            }
            if programs.join(file).is_file() {
                all.push(Candidate { name: name.to_owned(), program });
            } else {
                println!("{name} is left out: there is no `{}`", programs.join(file).display());
            }
        }
        all.extend(self.servers.iter().cloned());
        all.retain(|candidate| self.wants(&candidate.name));
        all
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }

    fn rows(&self) -> Vec<Row> {
        let usual = if self.index.is_some() { vec![Row::Index] } else { Row::USUAL.to_vec() };
        if self.rows.is_empty() { usual } else { self.rows.clone() }
    }

    fn load(&self) -> Load {
        let part = if self.quick { 20 } else { 1 };
        Load {
            digests: 10_000 / part,
            calls: 20,
            blobs: 20_000 / part,
            large: (1 << 30) / if self.quick { 16 } else { 1 },
            clients: 64,
            operations: if self.quick { 5 } else { 50 },
            // As many in all the rounds together as the row promises.
            actions: 1000 / part / self.rounds.max(1),
            index: self.index.unwrap_or(100_000 / part),
        }
    }

    fn directory(&self) -> tempfile::TempDir {
        let memory = Path::new("/dev/shm");
        let made = match &self.directory {
            Some(directory) => tempfile::tempdir_in(directory),
            None if memory.is_dir() => tempfile::tempdir_in(memory),
            None => tempfile::tempdir(),
        };
        made.expect("a temporary directory can be made")
    }
}

/// Returns where `.ci/peers` puts programs.
fn peers_programs() -> PathBuf {
    let build_directory = std::env::var_os("ENVSERVE_BUILD_DIR").map(PathBuf::from).unwrap_or_default();
    let places = ["peers/clients/bin", "peers/bin"].map(|place| build_directory.join(place));
    places.iter().find(|place| place.is_dir()).unwrap_or(&places[0]).clone()
}

/// The measures of one row: for each line, those of each server, and those of the floor.
struct Table {
    row: Row,
    servers: Vec<Vec<Rounds>>,
    floor: Vec<Rounds>,
}

impl Table {
    fn new(row: Row, lines: usize, servers: usize) -> Self {
        let line = |count: usize| (0..count).map(|_| Rounds::default()).collect::<Vec<_>>();
        Self { row, servers: (0..lines).map(|_| line(servers)).collect(), floor: line(lines) }
    }

    fn take(&mut self, server: usize, measures: Vec<Result<Measure, Unable>>) {
        for (line, measure) in self.servers.iter_mut().zip(measures) {
            line[server].take(measure);
        }
    }

    fn print(&self, load: &Load, candidates: &[Candidate]) {
        for ((title, line), floor) in self.row.lines(load).iter().zip(&self.servers).zip(&self.floor) {
            println!("{title}");
            for (at, (candidate, rounds)) in candidates.iter().zip(line).enumerate() {
                println!("{}", rounds.line(&candidate.name, (at > 0).then(|| &line[0])));
            }
            if !floor.is_empty() {
                println!("{}", floor.line("(floor)", Some(&line[0])));
            }
        }
    }
}

/// Starts a server, puts the load on it and stops it.
async fn measure(candidate: &Candidate, row: Row, round: &Round<'_>, base: &Path) -> Vec<Result<Measure, Unable>> {
    let directory = tempfile::tempdir_in(base).expect("a temporary directory can be made");
    let limit = if row == Row::Index { INDEX_LIMIT } else { LIMIT };
    let measured = async {
        let server = candidate.start(directory.path()).await?;
        Ok(row.run(&server, round).await)
    };
    let overdue = |_| Err(Unable::wrong("the row", format!("it took more than {} s", limit.as_secs())));
    let measures = tokio::time::timeout(limit, measured).await.unwrap_or_else(overdue);
    measures.unwrap_or_else(|unable| vec![Err(unable); row.lines(round.load).len()])
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let (candidates, load, place) = (arguments.candidates(), arguments.load(), arguments.directory());
    // A server that runs already must not have seen the blobs before.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seed = u64::from(since.subsec_nanos()) ^ since.as_secs();
    let bases = Bases::default();
    println!("{} rounds in {}", arguments.rounds, place.path().display());
    for row in arguments.rows() {
        let mut table = Table::new(row, row.lines(&load).len(), candidates.len());
        let rounds = if row == Row::Index { 1 } else { arguments.rounds };
        for number in 0..rounds {
            let round = Round::new(&load, &bases, seed.wrapping_add(number as u64));
            for turn in 0..candidates.len() {
                let at = (number + turn) % candidates.len();
                table.take(at, measure(&candidates[at], row, &round, place.path()).await);
            }
            for (line, measure) in table.floor.iter_mut().zip(row.floor(&round, place.path()).unwrap_or_default()) {
                line.take(Ok(measure));
            }
        }
        table.print(&load, &candidates);
    }
}
