//! Actions run on this host.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::action::Action;
use super::outputs::Collector;
use super::process::{self, End};
use super::work::WorkDirectory;
use super::{
    Closure, ExecuteError, ExecuteRequest, Executed, Execution, ExecutionEvents, Stage, cached_result, inputs, sandbox,
};
use crate::digest::{Digest, DigestFunction};
use crate::proto::{protobuf, reapi};
use crate::store::{ActionCache, LocalBlobStore, blocking};

/// How much of a sandbox's complaint is passed on.
const COMPLAINT_BYTES: usize = 1000;

/// The bounds of an executor.
#[derive(Debug, Clone)]
pub struct ExecutionOptions {
    /// Actions that run at once.
    pub slots: usize,
    /// Actions that may wait for a slot.
    pub queue: usize,
    /// Longest time-out that an action may ask for, and the one of those that ask for none.
    pub max_timeout: Duration,
    /// Most bytes kept of stdout, and of stderr.
    pub max_output_bytes: u64,
    /// What this executor is called in results.
    pub worker: String,
}

impl Default for ExecutionOptions {
    fn default() -> Self {
        Self {
            slots: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            queue: 1000,
            max_timeout: Duration::from_secs(3600),
            max_output_bytes: 64 << 20,
            worker: "envserve".to_owned(),
        }
    }
}

/// Runs actions on this host, each in a sandbox.
///
/// Equal actions that are asked for at the same time run at the same time: to
/// join them is for the caller.
#[derive(Clone)]
pub struct LocalExecution {
    store: LocalBlobStore,
    actions: Arc<dyn ActionCache>,
    options: Arc<ExecutionOptions>,
    slots: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

/// When an action came how far.
struct Times {
    queued: SystemTime,
    started: SystemTime,
    command_started: SystemTime,
    command_ended: SystemTime,
}

impl LocalExecution {
    /// Returns an executor over a store and its action cache.
    pub fn new(store: LocalBlobStore, actions: Arc<dyn ActionCache>, options: ExecutionOptions) -> Self {
        if rustix::process::geteuid().is_root() {
            tracing::warn!("actions run as root, seen from the kernel: give the executor a user of its own");
        }
        let slots = Arc::new(Semaphore::new(options.slots.max(1)));
        let queue = Arc::new(Semaphore::new(options.queue.min(Semaphore::MAX_PERMITS)));
        Self { store, actions, options: Arc::new(options), slots, queue }
    }

    /// Waits for a slot, in the order of asking.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, ExecuteError> {
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            return Ok(slot);
        }
        let full = |_| ExecuteError::QueueFull { limit: self.options.queue };
        let _place = self.queue.try_acquire().map_err(full)?;
        Ok(self.slots.clone().acquire_owned().await.expect("it is never closed"))
    }

    /// Runs an action in a work directory that is there for it.
    async fn run(
        &self,
        function: DigestFunction,
        action: &Arc<Action>,
        closure: Closure,
        queued: SystemTime,
        work: &mut WorkDirectory,
        events: &dyn ExecutionEvents,
    ) -> Result<reapi::ActionResult, ExecuteError> {
        let started = SystemTime::now();
        inputs::stage(&self.store, action, closure, &work.root()).await?;
        let (sandboxed, path) = (Arc::clone(action), work.path().to_owned());
        let command = blocking(move || sandbox::command(&sandboxed, &path)).await?;
        let command_started = SystemTime::now();
        let end = process::run(command, action.timeout, work, self.options.max_output_bytes, events).await?;
        let times = Times { queued, started, command_started, command_ended: SystemTime::now() };
        let exit_code = match end {
            End::Exit(code) => code,
            End::TimedOut => {
                let result = self.collect(function, action, work.path(), None, &times).await?;
                return Err(ExecuteError::Timeout { seconds: action.timeout.as_secs(), result: Box::new(result) });
            }
            End::Unknown => return Err(ExecuteError::Sandbox { reason: complaint(work.path()).await }),
        };
        self.collect(function, action, work.path(), Some(exit_code), &times).await
    }

    /// Stores what the command left: the logs, and the outputs too if it came to its end.
    async fn collect(
        &self,
        function: DigestFunction,
        action: &Action,
        work: &Path,
        exit_code: Option<i32>,
        times: &Times,
    ) -> Result<reapi::ActionResult, ExecuteError> {
        let (store, work) = (self.store.clone(), work.to_owned());
        let (working_directory, outputs) = (action.working_directory.clone(), action.outputs.clone());
        let mut result = blocking(move || {
            let collector = Collector { store: &store, function, work: &work };
            let mut result = reapi::ActionResult {
                stdout_digest: collector.log("stdout")?,
                stderr_digest: collector.log("stderr")?,
                ..Default::default()
            };
            if let Some(exit_code) = exit_code {
                result.exit_code = exit_code;
                collector.collect(&working_directory, &outputs, &mut result)?;
            }
            Ok::<_, ExecuteError>(result)
        })
        .await?;
        result.execution_metadata = Some(self.metadata(times));
        Ok(result)
    }

    fn metadata(&self, times: &Times) -> reapi::ExecutedActionMetadata {
        let completed = SystemTime::now();
        reapi::ExecutedActionMetadata {
            worker: self.options.worker.clone(),
            queued_timestamp: Some(timestamp(times.queued)),
            worker_start_timestamp: Some(timestamp(times.started)),
            worker_completed_timestamp: Some(timestamp(completed)),
            input_fetch_start_timestamp: Some(timestamp(times.started)),
            input_fetch_completed_timestamp: Some(timestamp(times.command_started)),
            execution_start_timestamp: Some(timestamp(times.command_started)),
            execution_completed_timestamp: Some(timestamp(times.command_ended)),
            output_upload_start_timestamp: Some(timestamp(times.command_ended)),
            output_upload_completed_timestamp: Some(timestamp(completed)),
            ..Default::default()
        }
    }

    async fn execute_uncached(
        &self,
        digest: Digest,
        events: &dyn ExecutionEvents,
    ) -> Result<reapi::ActionResult, ExecuteError> {
        let (action, closure) = Action::load(&self.store, digest, self.options.max_timeout).await?;
        events.stage(Stage::Queued);
        let queued = SystemTime::now();
        let slot = self.slot().await?;
        events.stage(Stage::Executing);
        let mut work = WorkDirectory::create(&self.store, slot).await?;
        let action = Arc::new(action);
        let result = self.run(digest.function(), &action, closure, queued, &mut work, events).await;
        work.close().await;
        let result = result?;
        if result.exit_code == 0 && action.cacheable {
            self.actions.put(&digest, &result).await?;
        }
        Ok(result)
    }
}

#[async_trait]
impl Execution for LocalExecution {
    async fn execute(&self, request: ExecuteRequest, events: &dyn ExecutionEvents) -> Result<Executed, ExecuteError> {
        if !request.skip_cache_lookup {
            events.stage(Stage::CacheCheck);
            if let Some(result) = cached_result(&self.store, &*self.actions, &request.action).await? {
                events.stage(Stage::Completed);
                return Ok(Executed { result, cached: true });
            }
        }
        let result = self.execute_uncached(request.action, events).await?;
        events.stage(Stage::Completed);
        Ok(Executed { result, cached: false })
    }
}

/// Returns what a sandbox that did not come up wrote to stderr.
async fn complaint(work: &Path) -> String {
    let path = work.join("stderr");
    let text = blocking(move || std::fs::read(path)).await.unwrap_or_default();
    let shown = String::from_utf8_lossy(&text[..text.len().min(COMPLAINT_BYTES)]).trim().to_owned();
    if shown.is_empty() { "it was killed from outside".to_owned() } else { shown }
}

fn timestamp(time: SystemTime) -> protobuf::Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    protobuf::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).expect("below a thousand million"),
    }
}
