//! The one command that an executor runs as root outside of any sandbox: its own, which makes checkpoints.
//!
//! An action asks for it by the property `checkpoint` = `criu`, and says nothing else about it: neither another program
//! or argument nor a variable; the `PATH` is that of the executor. What it gives are files in the input root, which the
//! command reads as what others wrote.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::ExecuteError;
use super::action::Action;
use super::unconfined::Start;
use super::work::WorkDirectory;
use crate::checkpoint::{COMMAND, VERB};
use crate::host::{Criu, FingerprintError, fingerprint};
use crate::spec::Fingerprint;

/// Where CRIU is, for the command.
const CRIU: &str = Criu::VARIABLE;
/// Has what follows die with the executor, as sandboxes do.
const DIES_WITH_PARENT: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];
/// How long what was found of this host is taken for granted: CRIU or runc may be replaced while a daemon runs.
const REMEMBERED: Duration = Duration::from_secs(60);

type Found = Result<Arc<Fingerprint>, (String, String)>;

/// Makes checkpoints on this host.
pub(super) struct CheckpointMaker {
    criu: Option<PathBuf>,
    found: Mutex<Option<(Instant, Found)>>,
}

/// Refuses an action that asks for checkpoints and has another command.
///
/// # Errors
/// `Invalid` with what else it says.
pub(super) fn check(action: &Action) -> Result<(), ExecuteError> {
    if !action.platform.checkpoint {
        return Ok(());
    }
    let invalid = |field, reason: String| Err(ExecuteError::Invalid { what: "command", field, reason });
    if action.arguments != COMMAND {
        return invalid(
            "arguments",
            format!("is not `{}`, the only one with `checkpoint` = `criu`", COMMAND.join(" ")),
        );
    }
    // That is for workers that look the program up.
    if action.environment.iter().any(|(name, _)| name != "PATH") {
        return invalid(
            "environment_variables",
            "sets more than `PATH`, all that `checkpoint` = `criu` goes with".to_owned(),
        );
    }
    if !action.working_directory.is_root() {
        return invalid(
            "working_directory",
            "is not the input root, all that `checkpoint` = `criu` goes with".to_owned(),
        );
    }
    Ok(())
}

impl CheckpointMaker {
    /// Makes them with the CRIU that is named, or the one in `PATH`.
    pub(super) fn new(criu: Option<PathBuf>) -> Self {
        Self { criu, found: Mutex::default() }
    }

    /// Returns the CRIU that is named.
    pub(super) fn criu(&self) -> Option<&Path> {
        self.criu.as_deref()
    }

    /// Returns the fingerprint of this host.
    ///
    /// # Errors
    /// `Checkpoints` when it cannot make any.
    pub(super) async fn fingerprint(&self) -> Result<Arc<Fingerprint>, ExecuteError> {
        let mut remembered = self.found.lock().await;
        let found = match &*remembered {
            Some((when, found)) if when.elapsed() < REMEMBERED => found.clone(),
            _ => {
                let found = self.find().await;
                *remembered = Some((Instant::now(), found.clone()));
                found
            }
        };
        found.map_err(|(reason, remedy)| ExecuteError::Checkpoints { reason, remedy })
    }

    async fn find(&self) -> Found {
        if !rustix::process::geteuid().is_root() {
            return Err(("only root can dump and restore containers".to_owned(), "run the daemon as root".to_owned()));
        }
        fingerprint(self.criu.as_deref()).await.map(Arc::new).map_err(|error| match error {
            FingerprintError::Lacks { reason, remedy } => (reason, remedy),
            error @ FingerprintError::Cpu { .. } => (error.to_string(), "see what `criu cpuinfo dump` says".to_owned()),
        })
    }

    /// Returns the command, in the input root of an action.
    ///
    /// # Errors
    /// When this program is nowhere.
    pub(super) fn start(&self, work: &WorkDirectory) -> Result<Start, ExecuteError> {
        let directory = work.layers().upper;
        let program = std::env::current_exe().map_err(ExecuteError::io("find this program for", &directory))?;
        let mut words: Vec<OsString> = DIES_WITH_PARENT.map(OsString::from).to_vec();
        words.extend([program.into(), VERB.into()]);
        let path = std::env::var_os("PATH").map(|path| ("PATH".into(), path));
        let criu = self.criu.as_ref().map(|criu| (CRIU.into(), criu.into()));
        Ok(Start { words, variables: path.into_iter().chain(criu).collect(), directory, notice: "" })
    }
}
