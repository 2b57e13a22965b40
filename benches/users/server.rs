//! The daemon that all clients ask, with what it says and what it sends.

use std::fs;
use std::path::PathBuf;

use crate::daemon::{Daemon, Place};

/// A daemon whose log is kept.
pub(crate) struct Server {
    daemon: Daemon,
    log: PathBuf,
}

impl Server {
    /// Starts one with an empty store.
    pub(crate) fn start(place: &Place, name: &str) -> Self {
        let log = place.path(&format!("{name}.log"));
        Self { daemon: Daemon::start_logging(&place.path(&format!("{name}-server")), &log), log }
    }

    pub(crate) fn address(&self) -> &str {
        &self.daemon.address
    }

    /// Returns how many environments have been built.
    pub(crate) fn builds(&self) -> usize {
        self.count(" built ")
    }

    /// Returns how many requests have waited for a build that another had begun.
    pub(crate) fn joined(&self) -> usize {
        self.count("outcome=\"joined\"")
    }

    fn count(&self, words: &str) -> usize {
        fs::read_to_string(&self.log).expect("it has a log").lines().filter(|line| line.contains(words)).count()
    }

    /// Returns the bytes that it has written to sockets and files.
    pub(crate) fn traffic(&self) -> u64 {
        let path = format!("/proc/{}/io", self.daemon.process());
        let text = fs::read_to_string(path).expect("it runs");
        let written = text.lines().find_map(|line| line.strip_prefix("wchar: ")).expect("the kernel counts");
        written.parse().expect("a number")
    }
}
