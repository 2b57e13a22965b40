//! What a client tells while it works.

use std::sync::{Mutex, PoisonError};

use crate::digest::Digest;
use crate::proto::v1;
use crate::source::FetchProgress;

/// A step of the work. Each replaces the one before it on a display.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A variable was set that means nothing to the environment.
    UnknownVariable {
        /// The variable.
        name: String,
        /// The environment.
        environment: String,
        /// The variables that it has, the most like first.
        known: Vec<String>,
    },
    /// A root is fetched here, because the server does not know it.
    Root {
        /// Its repository in the spec.
        repository: String,
    },
    /// The server has fetched what a root is made from.
    FetchedByServer {
        /// Its repository in the spec.
        repository: String,
        /// The server.
        serve: String,
    },
    /// A file is fetched from its address.
    Fetch {
        /// Its name.
        file: String,
        /// The address, without credentials.
        address: String,
        /// Bytes that have arrived.
        done: u64,
        /// Bytes to come in all, if that is known.
        total: Option<u64>,
    },
    /// A root is sent to the server.
    Upload {
        /// Its repository in the spec.
        repository: String,
        /// Bytes that the server has now: they were sent, or were there.
        done: u64,
        /// Bytes in all, once that is known.
        total: Option<u64>,
    },
    /// The environment is being built.
    Build {
        /// What the build is doing, as in the protocol.
        phase: String,
        /// The environment being worked on.
        environment: String,
        /// Actions that have ended.
        actions_done: u32,
        /// Actions in all.
        actions_total: u32,
        /// The last lines of the running action's output.
        log: Vec<String>,
    },
    /// The CAS is out of reach: blobs come through the server.
    Detour {
        /// Where the CAS is.
        cas: String,
        /// The server.
        serve: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// Nobody can be reached: it is tried again in a while.
    Waiting {
        /// Who, and why not.
        reason: String,
    },
    /// Nobody can be reached: the environment is built on this host.
    Local {
        /// Who, and why not.
        reason: String,
    },
    /// The answer is there.
    Answer {
        /// Whether it came from the cache.
        hit: bool,
    },
    /// Blobs arrive.
    Download {
        /// Bytes that have arrived.
        done: u64,
        /// Bytes to come in all.
        total: u64,
    },
    /// Blobs of the answer were gone; the server is asked again.
    Lost {
        /// One of them.
        first: Digest,
        /// How many.
        count: usize,
    },
}

/// Who is told: a closure over [`Event`], [`Quiet`], or what a program makes of them.
pub trait Events: Send + Sync {
    /// Takes note of a step. Must not block.
    fn event(&self, event: Event);
}

/// Nobody.
#[derive(Debug, Clone, Copy)]
pub struct Quiet;

impl Events for Quiet {
    fn event(&self, _event: Event) {}
}

/// Whatever a closure does.
impl<F: Fn(Event) + Send + Sync> Events for F {
    fn event(&self, event: Event) {
        self(event);
    }
}

/// Tells of a file that is fetched.
pub(super) struct Fetching<'a> {
    events: &'a dyn Events,
    file: &'a str,
    begun: Mutex<(String, Option<u64>)>,
}

impl<'a> Fetching<'a> {
    pub(super) fn new(events: &'a dyn Events, file: &'a str) -> Self {
        Self { events, file, begun: Mutex::default() }
    }
}

impl FetchProgress for Fetching<'_> {
    fn begun(&self, address: &str, total: Option<u64>) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = (address.to_owned(), total);
        self.advanced(0);
    }

    fn advanced(&self, done: u64) {
        let (address, total) = self.begun.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.events.event(Event::Fetch { file: self.file.to_owned(), address, done, total });
    }
}

impl From<v1::Progress> for Event {
    fn from(progress: v1::Progress) -> Self {
        Self::Build {
            phase: progress.phase,
            environment: progress.environment,
            actions_done: progress.actions_done,
            actions_total: progress.actions_total,
            log: progress.log,
        }
    }
}
