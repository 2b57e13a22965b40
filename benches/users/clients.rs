//! Clients that all start at once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::daemon::{Place, run};
use crate::server::Server;

/// Clients, each with a root of its own.
pub(crate) struct Clients {
    roots: Vec<PathBuf>,
}

/// What became of all of them.
pub(crate) struct Fetched {
    /// Seconds from the start of each process to its end.
    ready: Vec<f64>,
    /// Seconds from the first start to the last end.
    all: f64,
    /// Bytes that each has fetched.
    pub(crate) downloaded: Vec<u64>,
}

impl Clients {
    /// Returns so many, which have nothing.
    pub(crate) fn new(place: &Place, name: &str, count: usize) -> Self {
        Self { roots: (0..count).map(|number| place.path(&format!("{name}-{number}"))).collect() }
    }

    /// Has all of them fetch at once, each by its own spec.
    pub(crate) fn fetch(&self, server: &Server, spec: impl Fn(usize) -> PathBuf + Sync) -> Fetched {
        let start = Barrier::new(self.roots.len());
        let begun = Instant::now();
        let fetched: Vec<(f64, u64)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.roots.len())
                .map(|number| {
                    let (start, spec) = (&start, &spec);
                    scope.spawn(move || {
                        let mut command = fetch(&spec(number), server, &self.roots[number]);
                        start.wait();
                        let begun = Instant::now();
                        let said = run(&mut command);
                        let ready = begun.elapsed().as_secs_f64();
                        let said: Value = serde_json::from_str(&said).expect("JSON");
                        (ready, said["downloaded_bytes"].as_u64().expect("a number"))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("it has not failed")).collect()
        });
        let all = begun.elapsed().as_secs_f64();
        let (ready, downloaded) = fetched.into_iter().unzip();
        Fetched { ready, all, downloaded }
    }

    /// Removes all that they have.
    pub(crate) fn forget(&self) {
        self.roots.iter().for_each(|root| remove(root));
    }
}

fn fetch(spec: &Path, server: &Server, root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_envserve"));
    command.arg("fetch").arg(spec).args(["--quiet", "--json", "--serve", server.address(), "--root"]).arg(root);
    command
}

/// Removes a directory of environments, which are read-only.
pub(crate) fn remove(path: &Path) {
    drop(Command::new("chmod").args(["-R", "u+w"]).arg(path).status());
    drop(std::fs::remove_dir_all(path));
}

impl Fetched {
    /// Prints how long they took.
    pub(crate) fn print(&self, case: &str) {
        let mut ready = self.ready.clone();
        ready.sort_by(f64::total_cmp);
        let percentile = |percent: usize| ready[(ready.len() * percent).div_ceil(100) - 1];
        let (p50, p99) = (percentile(50), percentile(99));
        println!("{case:<44} p50 {p50:>8.3} s  p99 {p99:>8.3} s  p99/p50 {:>5.2}  all {:>8.3} s", p99 / p50, self.all);
    }
}
