//! Actions of the REAPI, run in a sandbox on this host by the embedded executor, or by an endpoint.
//!
//! An action goes one way: cache (`cache.rs`), checked form (`action.rs`), a
//! slot (`queue.rs`), input root on disk (`inputs.rs`), process
//! (`sandbox.rs`, `process.rs`, `capture.rs`), outputs in the CAS
//! (`outputs.rs`); `local.rs` leads it along. Or it goes to an endpoint that does all this (`remote/`). What ran without error and may be cached is in the action
//! cache before it is answered. No gRPC here: `serve` adapts.

mod action;
mod cache;
mod capture;
mod cgroup;
mod checkpoint;
mod closure;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod host;
mod image;
mod images;
mod inputs;
mod layers;
mod limits;
mod local;
mod namespace;
mod options;
mod outputs;
mod platform;
mod process;
mod queue;
mod remote;
mod sandbox;
mod service;
mod services;
mod shared;
#[cfg(test)]
mod tests;
mod times;
mod unconfined;
mod users;
mod work;

use std::sync::Arc;

use async_trait::async_trait;

use crate::digest::Digest;
use crate::proto::reapi;
use crate::spec::Fingerprint;

pub use cache::{cached_result, missing_outputs};
pub use capture::LiveLog;
pub use closure::{Closure, ClosureDirectory};
pub use error::{CHECKPOINTS_DENIED, ExecuteError, HOST_VIOLATION};
pub use images::{Images, NoImages};
pub use limits::Limits;
pub use local::LocalExecution;
pub use options::{ExecutionOptions, Sandbox};
pub use remote::RemoteExecution;
pub use services::{NoServices, Services};

/// Runs actions.
#[async_trait]
pub trait Execution: Send + Sync {
    /// Runs the action, or answers from the action cache when its result is whole.
    /// A non-zero exit code is a result, not an error.
    ///
    /// # Cancel safety
    /// Dropping the future kills the action; nothing of it is cached.
    async fn execute(&self, request: ExecuteRequest, events: &dyn ExecutionEvents) -> Result<Executed, ExecuteError>;

    /// Says whether commands have to name their outputs as servers before API 2.1 understand it.
    fn is_old(&self) -> bool {
        false
    }

    /// Says whether actions may ask for a range of users: the property `user-ids`. A foreign endpoint may refuse
    /// those that name a property which it does not know.
    fn gives_users(&self) -> bool {
        false
    }

    /// Says who makes checkpoints.
    ///
    /// # Errors
    /// `Checkpoints` when this host would, and lacks something.
    async fn checkpoints(&self) -> Result<CheckpointWorker, ExecuteError> {
        Ok(CheckpointWorker::Elsewhere)
    }
}

/// Who makes checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointWorker {
    /// This host, by actions with the property `checkpoint` = `criu`.
    Own(Arc<Fingerprint>),
    /// Workers of an endpoint, of which only their operator knows how to ask for them.
    Elsewhere,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecuteRequest {
    /// The `Action` in the CAS.
    pub action: Digest,
    /// Whether to run it even though a result may be known.
    pub skip_cache_lookup: bool,
    /// For whom: clients take turns.
    pub client: Arc<str>,
    /// Of the actions of one client, those with the lowest number run first.
    pub priority: i32,
    /// Whether the client may have checkpoints.
    pub checkpoints: bool,
}

impl ExecuteRequest {
    /// Returns a request for an action of this process itself, or its known result.
    pub fn new(action: Digest) -> Self {
        Self { action, skip_cache_lookup: false, client: "".into(), priority: 0, checkpoints: true }
    }
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct Executed {
    /// Exit code and outputs.
    pub result: reapi::ActionResult,
    /// Whether it was run earlier.
    pub cached: bool,
}

/// How far an action has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The action cache is being asked.
    CacheCheck,
    /// It waits for a slot.
    Queued,
    /// It runs.
    Executing,
    /// It is over.
    Completed,
}

/// Takes news of an action as it runs. Called in order and not to block.
pub trait ExecutionEvents: Send + Sync {
    /// The action has reached a stage.
    fn stage(&self, stage: Stage);

    /// The action wrote a line to stdout or stderr.
    fn log(&self, line: &str);

    /// What is known by now about when and where the action runs.
    fn metadata(&self, _: &reapi::ExecutedActionMetadata) {}

    /// The action is about to write to these.
    fn logs(&self, _stdout: LiveLog, _stderr: LiveLog) {}
}

/// Takes no notice.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl ExecutionEvents for NoEvents {
    fn stage(&self, _: Stage) {}

    fn log(&self, _: &str) {}
}
