//! Nix, and the objects that it copies.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::daemon::{Place, run};

/// Size of all objects together, whatever their number.
pub(crate) const MEGABYTES: usize = 300;
/// Files in all objects together.
pub(crate) const FILES: usize = 3000;
/// Every so many files one is large.
const LARGE_EVERY: usize = 100;
/// Bytes of a large file.
const LARGE: usize = 5 << 20;

/// Returns where the programs lie of a set that `.ci/peers` has unpacked.
pub(crate) fn peers(set: &str) -> PathBuf {
    let given = |name| env::var_os(name).map(PathBuf::from);
    let cache = || given("XDG_CACHE_HOME").unwrap_or_else(|| given("HOME").expect("set").join(".cache"));
    given("ENVSERVE_BUILD_DIR").unwrap_or_else(|| cache().join("envserve-build")).join("peers").join(set).join("bin")
}

/// A Nix with a store of its own.
pub(crate) struct Nix {
    directory: PathBuf,
    programs: PathBuf,
    calls: AtomicUsize,
}

impl Nix {
    /// Returns the recent one, or that of the host where there is no other.
    pub(crate) fn new(place: &Place) -> Self {
        let directory = place.path("nix");
        fs::create_dir(&directory).expect("a new directory");
        let recent = peers("nix");
        let programs = if recent.join("nix").exists() { recent } else { "/usr/bin".into() };
        Self { directory, programs, calls: AtomicUsize::new(0) }
    }

    /// Returns a command with a store, for which no cache has said anything yet.
    fn command(&self, program: &str, store: &str) -> Command {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(self.programs.join(program));
        command.env_clear().env("HOME", &self.directory).env("USER", "u").env("PATH", "/usr/bin:/bin");
        command.env("NIX_CONF_DIR", self.directory.join("none")).env("NIX_REMOTE", self.directory.join(store));
        command.env("XDG_CACHE_HOME", self.directory.join(format!("said-{call}")));
        let configuration = "build-users-group =\nsubstitute = false\nexperimental-features = nix-command\n";
        command.env("NIX_CONFIG", configuration).current_dir(&self.directory);
        command
    }

    /// Makes so many objects, with bytes that cannot be compressed by half.
    pub(crate) fn make(&self, objects: usize) -> Vec<String> {
        let per_object = FILES / objects;
        let small = (MEGABYTES * 1_000_000 - FILES / LARGE_EVERY * LARGE) / FILES;
        let mut random = fastrand::Rng::with_seed(1);
        let mut file = 0;
        let mut made = Vec::new();
        for object in 0..objects {
            let directory = self.directory.join(format!("object-{object}"));
            for number in 0..per_object {
                let below = directory.join(format!("d{}", number % 8));
                fs::create_dir_all(&below).expect("a directory");
                let size = if file % LARGE_EVERY == 0 { LARGE } else { random.usize(1..2 * small) };
                // A third of the bytes says nothing.
                let bytes: Vec<u8> = (0..size).map(|at| if at % 3 == 0 { 0 } else { random.u8(..) }).collect();
                fs::write(below.join(format!("f{number}")), bytes).expect("a file");
                file += 1;
            }
            made.push(run(self.command("nix-store", "store").arg("--add").arg(&directory)));
            fs::remove_dir_all(&directory).expect("it can be");
        }
        made
    }

    /// Copies objects to a cache.
    pub(crate) fn copy_to(&self, cache: &str, objects: &[String]) {
        run(self.command("nix", "store").args(["copy", "--to", cache]).args(objects));
    }

    /// Copies objects from a cache into an empty store and returns how many seconds that took.
    pub(crate) fn copy_from(&self, cache: &str, objects: &[String]) -> f64 {
        let mut command = self.command("nix", "empty");
        command.args(["copy", "--from", cache]).args(objects);
        let started = Instant::now();
        run(&mut command);
        let took = started.elapsed().as_secs_f64();
        let empty = self.directory.join("empty");
        run(Command::new("chmod").args(["-R", "u+w"]).arg(&empty));
        fs::remove_dir_all(&empty).expect("it can be");
        took
    }
}
