//! The embedded executor: actions of the REAPI, run in a sandbox on this host.
//!
//! An action goes one way: cache (`cache.rs`), checked form (`action.rs`), a
//! slot (`local.rs`), input root on disk (`inputs.rs`), process
//! (`sandbox.rs`, `process.rs`, `capture.rs`), outputs in the CAS
//! (`outputs.rs`). What ran without error and may be cached is in the action
//! cache before it is answered. No gRPC here: `serve` adapts.

mod action;
mod cache;
mod capture;
mod closure;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod inputs;
mod local;
mod namespace;
mod outputs;
mod process;
mod sandbox;
#[cfg(test)]
mod tests;
mod work;

use async_trait::async_trait;

use crate::digest::Digest;
use crate::proto::reapi;

pub use cache::{cached_result, missing_outputs};
pub use closure::{Closure, ClosureDirectory};
pub use error::ExecuteError;
pub use local::{ExecutionOptions, LocalExecution};

/// Runs actions.
#[async_trait]
pub trait Execution: Send + Sync {
    /// Runs the action, or answers from the action cache when its result is whole.
    /// A non-zero exit code is a result, not an error.
    ///
    /// # Cancel safety
    /// Dropping the future kills the action; nothing of it is cached.
    async fn execute(&self, request: ExecuteRequest, events: &dyn ExecutionEvents) -> Result<Executed, ExecuteError>;
}

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecuteRequest {
    /// The `Action` in the CAS.
    pub action: Digest,
    /// Whether to run it even though a result may be known.
    pub skip_cache_lookup: bool,
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
}

/// Takes no notice.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl ExecutionEvents for NoEvents {
    fn stage(&self, _: Stage) {}

    fn log(&self, _: &str) {}
}
