//! Why an action could not be run.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::oci::OciDigest;
use crate::proto::reapi;
use crate::store::StoreError;

/// What is told to those who may not have checkpoints.
pub const CHECKPOINTS_DENIED: &str = "checkpoints hold what was in the memory of services; over TCP this server gives \
     them to clients with a token of `--checkpoint-token-file` only, or to all with `--checkpoints-for-all`";

/// Type of the violation by which a status says that the host of a server or worker lacks something.
pub const HOST_VIOLATION: &str = "HOST";

/// Why there is no result. A failing command is not among the reasons.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The action, its command or inputs are not in the CAS.
    #[error("not in the CAS, but needed: {}", listed(digests))]
    MissingBlobs {
        /// Every one of them.
        digests: Vec<Digest>,
    },
    /// A message asks for what cannot be done.
    #[error("the {what} cannot be used: `{field}` {reason}")]
    Invalid {
        /// The message: action, command or action result.
        what: &'static str,
        /// The field in it.
        field: &'static str,
        /// What is wrong with the field, as the rest of a sentence.
        reason: String,
    },
    /// The operator does not allow what the action asks for.
    #[error("the action asks for `{property}`, which this server allows only when started with `{option}`")]
    Denied {
        /// The property of the action.
        property: &'static str,
        /// The option that would allow it.
        option: &'static str,
    },
    /// The command did not end in time and was killed.
    #[error("the action was killed after {seconds} s, its time-out")]
    Timeout {
        /// The time it had.
        seconds: u64,
        /// What it wrote to stdout and stderr until then.
        result: Box<reapi::ActionResult>,
    },
    /// Something that the command left cannot be an output.
    #[error("output `{path}` {what}")]
    Output {
        /// Where it lies, relative to the working directory.
        path: String,
        /// Why not, as the rest of a sentence.
        what: &'static str,
    },
    /// The command left more than it may.
    #[error("the outputs of the action are larger than {limit} bytes, the most that this server takes of one action")]
    OutputsTooLarge {
        /// The most bytes of all output files.
        limit: u64,
    },
    /// All slots are taken, and as many wait as may.
    #[error("{limit} actions are waiting already")]
    QueueFull {
        /// How many may wait.
        limit: usize,
    },
    /// The endpoint does not run such an action.
    #[error("`{endpoint}` refuses the action: {status}", status = crate::store::wire::describe(status))]
    Refused {
        /// The endpoint.
        endpoint: String,
        /// What it says.
        status: Box<tonic::Status>,
    },
    /// This host lacks a program.
    #[error("`{program}` is not installed on the host of the executor (Debian package `{package}`)")]
    Host {
        /// The program.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// This host gives actions no range of users.
    #[error("this executor cannot run actions with `user-ids` = `range`: {reason}")]
    Users {
        /// What is lacking.
        reason: String,
    },
    /// This host cannot make checkpoints.
    #[error("this host cannot make checkpoints: {reason}; to get it: {remedy}")]
    Checkpoints {
        /// What is lacking.
        reason: String,
        /// How to get it.
        remedy: String,
    },
    /// Whoever asks may not have checkpoints.
    #[error("{CHECKPOINTS_DENIED}")]
    CheckpointsDenied,
    /// The host of a worker elsewhere lacks something.
    #[error("the host of the worker cannot do it: {said}")]
    WorkerLacks {
        /// What it says.
        said: String,
    },
    /// The action asks for an image that is no environment which was built here.
    #[error(
        "the action asks for the image `{manifest}`, which this server has not built: have it build the environment first, as `envserve fetch --absent` does"
    )]
    UnknownImage {
        /// The digest of its manifest.
        manifest: OciDigest,
    },
    /// An image cannot be the root file system of an action here.
    #[error("the action cannot run in the image `{manifest}`: {reason}")]
    Image {
        /// The digest of its manifest.
        manifest: OciDigest,
        /// Why not.
        reason: String,
    },
    /// This host starts no services beside actions.
    #[error("this executor cannot start services beside actions: {reason}")]
    Services {
        /// What is lacking.
        reason: String,
    },
    /// The service that the action is to have beside it is not there.
    #[error("the service `{service:?}` of the action does not start: {reason}{}", said(log))]
    Service {
        /// The digest of the descriptor of its checkpoint.
        service: Digest,
        /// Why not.
        reason: String,
        /// The end of what it has said.
        log: String,
    },
    /// The sandbox could not be set up, or broke.
    #[error("the sandbox could not run the command: {reason}")]
    Sandbox {
        /// What the sandbox said.
        reason: String,
    },
    /// The system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl ExecuteError {
    /// Returns a closure that turns a system error into `Io`, for `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Returns the first few of the digests as text.
fn listed(digests: &[Digest]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = digests.iter().take(SHOWN).map(|digest| format!("`{digest}`")).collect();
    let more = digests.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// Returns an error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Returns the end of what something has said, to be told after an error.
fn said(log: &str) -> String {
    const SHOWN: usize = 2000;
    let log = log.trim_end();
    let start = log.ceil_char_boundary(log.len().saturating_sub(SHOWN));
    if log.is_empty() { String::new() } else { format!("; it has said:\n{}", &log[start..]) }
}
