//! Events as lines of JSON, for a program that reads stderr.
//!
//! Fields are added within a version, never changed: who reads them passes over what it does not know.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use super::manner::Manner;
use super::screen;
use super::topics::Topics;
use crate::client::Event;

/// Version of the form.
const VERSION: u32 = 1;
/// Shortest time between two lines about how far one thing has come.
const EVERY: Duration = Duration::from_millis(100);

/// A line.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EventLine {
    /// Version of the form: 1.
    version: u32,
    /// Milliseconds since work began.
    ms: u64,
    /// Of `prefill`: which of the environments this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<String>,
    #[serde(flatten)]
    what: What,
}

/// What has happened.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum What {
    /// Work begins: the first line.
    Begin {
        /// The time, in milliseconds since 1970 began.
        unix_ms: u64,
        /// Version of the program.
        envserve: String,
    },
    /// A variable was set that means nothing to the environment.
    UnknownVariable {
        /// The variable.
        name: String,
        /// The environment.
        environment: String,
        /// The variables that it has, the most like first.
        known: Vec<String>,
    },
    /// The sources of a repository are fetched here.
    Root {
        /// The repository of the spec.
        repository: String,
    },
    /// The server has fetched the sources of a repository.
    FetchedByServer {
        /// The repository of the spec.
        repository: String,
        /// The server.
        serve: String,
    },
    /// A file of the sources is fetched here.
    Fetch {
        /// Its name.
        file: String,
        /// From where, without credentials.
        address: String,
        /// Bytes that have arrived.
        done: u64,
        /// Bytes to come in all, where that is known.
        total: Option<u64>,
    },
    /// The sources of a repository are sent to the server.
    Upload {
        /// The repository of the spec.
        repository: String,
        /// Bytes that were sent, or were there.
        done: u64,
        /// Bytes in all, once that is known.
        total: Option<u64>,
    },
    /// The environment is being built.
    Build {
        /// `roots`, `plan`, `queue`, `build` or `publish`.
        phase: String,
        /// The environment being worked on.
        environment: String,
        /// Actions that have ended.
        actions_done: u32,
        /// Actions in all, as far as is known.
        actions_total: u32,
        /// The last lines of the running action's output, as it printed them.
        log: Vec<String>,
    },
    /// The server has answered.
    Answer {
        /// Whether from its cache.
        hit: bool,
    },
    /// Blobs of the environment arrive.
    Download {
        /// Bytes that have arrived.
        done: u64,
        /// Bytes to come in all.
        total: u64,
    },
    /// The CAS is out of reach: blobs come through the server.
    Detour {
        /// The CAS.
        cas: String,
        /// The server.
        serve: String,
        /// Why the CAS cannot be used.
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
    /// Blobs of the answer were gone; the server is asked again.
    Lost {
        /// One of them.
        first: String,
        /// How many.
        count: usize,
    },
    /// One environment of `prefill` has come to its end.
    Item {
        /// What became of it.
        outcome: String,
        /// How many have come to theirs.
        done: usize,
        /// How many there are in all.
        total: usize,
    },
    /// A record of the log.
    Log {
        /// `error` or `warn`; with `ENVSERVE_LOG` also `info`, `debug`, `trace`.
        level: String,
        /// What it says.
        text: String,
    },
    /// A remark.
    Note {
        /// What it says.
        text: String,
    },
    /// What went wrong.
    Error {
        /// What was attempted, and why it failed.
        message: String,
        /// What caused that, the nearest first.
        causes: Vec<String>,
        /// What to do.
        hint: Option<String>,
        /// The end of the output of a build that failed.
        log: Option<String>,
    },
    /// The end.
    Done {
        /// The exit code of the process.
        exit: u8,
    },
}

/// Prints a line, unless it is about how far something has come and another of that was printed just now.
pub(super) fn tell(topics: &mut Topics, item: Option<&str>, event: Event) {
    let is_on_its_way = |done: &u64, total: &Option<u64>| total.is_none_or(|total| *done < total);
    let topic = match &event {
        Event::Download { done, total } if done < total => Some("download".to_owned()),
        Event::Fetch { file, done, total, .. } if is_on_its_way(done, total) => Some(format!("fetch {file}")),
        Event::Upload { repository, done, total } if is_on_its_way(done, total) => Some(format!("upload {repository}")),
        Event::Build { phase, environment, actions_done, .. } => Some(format!("{phase} {environment} {actions_done}")),
        _ => None,
    };
    if topic.is_none_or(|topic| topics.is_due(&topic, Duration::ZERO, EVERY, Instant::now())) {
        say(item, event.into());
    }
}

/// Prints a line.
pub(in crate::cli) fn say(item: Option<&str>, what: What) {
    // Times are in the order of the lines, whichever threads print them.
    static ORDER: Mutex<()> = Mutex::new(());
    let _turn = ORDER.lock().unwrap_or_else(PoisonError::into_inner);
    let ms = u64::try_from(Manner::elapsed().as_millis()).unwrap_or(u64::MAX);
    let line = EventLine { version: VERSION, ms, item: item.map(str::to_owned), what };
    let mut line = serde_json::to_vec(&line).expect("these types have a form in JSON");
    line.push(b'\n');
    screen::print(&line);
}

impl From<Event> for What {
    fn from(event: Event) -> Self {
        match event {
            Event::UnknownVariable { name, environment, known } => Self::UnknownVariable { name, environment, known },
            Event::Root { repository } => Self::Root { repository },
            Event::FetchedByServer { repository, serve } => Self::FetchedByServer { repository, serve },
            Event::Fetch { file, address, done, total } => Self::Fetch { file, address, done, total },
            Event::Upload { repository, done, total } => Self::Upload { repository, done, total },
            Event::Build { phase, environment, actions_done, actions_total, log } => {
                Self::Build { phase, environment, actions_done, actions_total, log }
            }
            Event::Answer { hit } => Self::Answer { hit },
            Event::Download { done, total } => Self::Download { done, total },
            Event::Detour { cas, serve, reason } => Self::Detour { cas, serve, reason },
            Event::Waiting { reason } => Self::Waiting { reason },
            Event::Local { reason } => Self::Local { reason },
            Event::Lost { first, count } => Self::Lost { first: first.to_string(), count },
        }
    }
}
