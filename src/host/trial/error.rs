//! Why a trial failed.

use std::io;
use std::path::{Path, PathBuf};

/// Why a trial failed.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// It was not started as it is to be.
    #[error("a trial is started by `envserve doctor` only")]
    NotFirst,
    /// The system refused.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// runc, or CRIU, did not do it.
    #[error("`runc {verb}` failed: {said}")]
    Runc {
        /// What it was to do.
        verb: &'static str,
        /// What it, or CRIU, says.
        said: String,
    },
    /// The service cannot be reached.
    #[error("the service in the container cannot be reached: {source}")]
    Unreachable {
        /// Why not.
        source: io::Error,
    },
    /// The container says something else than it should.
    #[error("the container says `{answer}`, and not `{wanted}`")]
    Answer {
        /// What it should say.
        wanted: String,
        /// What it says.
        answer: String,
    },
}

impl TrialError {
    /// Returns a closure that turns a system error into `Io`, for `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
