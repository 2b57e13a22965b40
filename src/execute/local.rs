//! Actions run on this host, each in a sandbox: the way of one from request to result.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::action::Action;
use super::capture::Capture;
use super::checkpoint::CheckpointMaker;
use super::host::Host;
use super::image::{Image, ReadyImages};
use super::limits::Hit;
use super::outputs::{Collector, Room};
use super::platform::Platform;
use super::process::{self, Bounds, End, Logs};
use super::queue::Queue;
use super::service::{Means, Ready, ReadyServices};
use super::shared::SharedInputs;
use super::times::Times;
use super::unconfined::Start;
use super::work::WorkDirectory;
use super::{
    CheckpointWorker, Closure, ExecuteError, ExecuteRequest, Executed, Execution, ExecutionEvents, ExecutionOptions,
    Images, NoImages, NoServices, Sandbox, Services, Stage, cached_result, inputs, sandbox, unconfined,
};
use crate::digest::DigestFunction;
use crate::proto::reapi;
use crate::store::{ActionCache, LocalBlobStore, blocking};

/// How much of a sandbox's complaint is passed on.
const COMPLAINT_BYTES: usize = 1000;
/// Exit code of an action of which the system killed all processes for the memory they used.
const KILLED: i32 = 128 + 9;

/// Runs actions on this host, each in a sandbox.
///
/// Equal actions that are asked for at the same time run at the same time: to
/// join them is for the caller.
#[derive(Clone)]
pub struct LocalExecution {
    store: LocalBlobStore,
    actions: Arc<dyn ActionCache>,
    options: Arc<ExecutionOptions>,
    queue: Queue,
    usual: Arc<Ground>,
    /// For actions that are root among a range of users.
    users: Arc<Ground>,
    /// For what makes checkpoints.
    checkpoints: Arc<Ground>,
    checkpoint_maker: Arc<CheckpointMaker>,
    images: Arc<ReadyImages>,
    services: Arc<ReadyServices>,
}

/// A host and what lies ready on it.
#[derive(Default)]
struct Ground {
    host: OnceCell<Arc<Host>>,
    shared: SharedInputs,
}

/// A command that has ended.
struct Ended {
    /// Its exit code, unless it was killed for the time it took.
    exit_code: Option<i32>,
    /// The limits that it hit.
    hit: Hit,
}

impl LocalExecution {
    /// Returns an executor over a store and its action cache.
    pub fn new(store: LocalBlobStore, actions: Arc<dyn ActionCache>, options: ExecutionOptions) -> Self {
        if options.sandbox == Sandbox::None {
            tracing::warn!("actions run without a sandbox: whoever can connect can do what this process can");
        }
        let queue = Queue::new(options.slots, options.queue);
        let checkpoint_maker = Arc::new(CheckpointMaker::new(options.criu.clone()));
        let options = Arc::new(options);
        let images = Arc::new(ReadyImages::new(Arc::new(NoImages)));
        let services = Arc::new(ReadyServices::new(Arc::new(NoServices)));
        let (usual, users, checkpoints) = Default::default();
        Self { store, actions, options, queue, usual, users, checkpoints, checkpoint_maker, images, services }
    }

    /// Returns the executor with images that actions may run in.
    #[must_use]
    pub fn with_images(self, images: Arc<dyn Images>) -> Self {
        Self { images: Arc::new(ReadyImages::new(images)), ..self }
    }

    /// Returns the executor with services that actions may have beside them.
    #[must_use]
    pub fn with_services(self, services: Arc<dyn Services>) -> Self {
        Self { services: Arc::new(ReadyServices::new(services)), ..self }
    }

    /// Returns the host, prepared for such actions.
    async fn host(&self, platform: &Platform) -> Result<Arc<Host>, ExecuteError> {
        let parts = || (self.store.clone(), Arc::clone(&self.options));
        let prepare = || {
            let (store, options) = parts();
            blocking(move || Host::prepare(&store, &options).map(Arc::new))
        };
        let host = self.usual.host.get_or_try_init(prepare).await.cloned()?;
        let ground = self.ground(platform);
        if std::ptr::eq(ground, &*self.usual) {
            return Ok(host);
        }
        let users = platform.users;
        let other = || {
            let (store, options) = parts();
            let make = move || if users { host.with_users(&store, &options) } else { host.without_sandbox(&store) };
            blocking(move || make().map(Arc::new))
        };
        ground.host.get_or_try_init(other).await.cloned()
    }

    /// Returns what lies ready for such actions.
    fn ground(&self, platform: &Platform) -> &Ground {
        match platform {
            Platform { checkpoint: true, .. } => &self.checkpoints,
            Platform { users: true, .. } => &self.users,
            _ => &self.usual,
        }
    }

    /// Runs an action in a work directory that is there for it.
    async fn run(
        &self,
        function: DigestFunction,
        action: &Arc<Action>,
        closure: Closure,
        times: &mut Times,
        work: &mut WorkDirectory,
        events: &dyn ExecutionEvents,
    ) -> Result<(reapi::ActionResult, Hit), ExecuteError> {
        let shared = &self.ground(&action.platform).shared;
        inputs::stage(&self.store, shared, action, closure, work).await?;
        let image = match &action.platform.image {
            Some(manifest) => Some(self.images.get(&self.store, manifest).await?),
            None => None,
        };
        if let Some(image) = &image {
            image.stage(&self.store, shared, action, work).await?;
        }
        let checkpoint = self.services.find(&action.platform).await?;
        let ready = match &checkpoint {
            Some(checkpoint) => Some(self.services.ready(&self.means(), work.host(), checkpoint, None).await?),
            None => None,
        };
        times.inputs_ready = Some(SystemTime::now());
        events.metadata(&times.metadata(&self.options.worker));
        let ended = match self.start_service(action, ready, work).await? {
            Some(left) => self.command(action, image.as_deref(), left, work, times, events).await?,
            None => Ended { exit_code: None, hit: Hit::default() },
        };
        let result = self.collect(function, action, work, ended.exit_code, times).await?;
        match ended.exit_code {
            Some(_) => Ok((result, ended.hit)),
            None => Err(ExecuteError::Timeout { seconds: action.timeout.as_secs(), result: Box::new(result) }),
        }
    }

    /// Returns what services are started with.
    fn means(&self) -> Means<'_> {
        Means { store: &self.store, maker: &self.checkpoint_maker, limits: &self.options.limits }
    }

    /// Starts the service that an action is to have beside it, if any, and returns how much time is left for the
    /// command; none when all of it is over.
    async fn start_service(
        &self,
        action: &Action,
        ready: Option<Ready<'_>>,
        work: &mut WorkDirectory,
    ) -> Result<Option<Duration>, ExecuteError> {
        let Some(ready) = ready else { return Ok(Some(action.timeout)) };
        let begun = Instant::now();
        if let Ok(started) = timeout(action.timeout, self.services.start(&self.means(), ready, work)).await {
            return started.map(|()| Some(action.timeout.saturating_sub(begun.elapsed())));
        }
        let ended = work.evacuate().await;
        ended.map(|()| None).map_err(ExecuteError::io("end the service in", work.path()))
    }

    /// Runs the command to its end, for so long at most.
    async fn command(
        &self,
        action: &Action,
        image: Option<&Image>,
        timeout: Duration,
        work: &mut WorkDirectory,
        times: &mut Times,
        events: &dyn ExecutionEvents,
    ) -> Result<Ended, ExecuteError> {
        let log = |name| Capture::new(work.path().join(name));
        let logs = Logs { stdout: log("stdout"), stderr: log("stderr") };
        events.logs(logs.stdout.live(), logs.stderr.live());
        let (output_bytes, limits) = (self.options.max_output_bytes, &self.options.limits);
        let bounds = Bounds { timeout, output_bytes, limits };
        let begun = Instant::now();
        let end = match self.options.sandbox {
            _ if action.platform.checkpoint => {
                unconfined::run(self.checkpoint_maker.start(work)?, &bounds, work, &logs, events).await?
            }
            Sandbox::Bubblewrap => {
                process::run(sandbox::command(action, image, limits, work)?, &bounds, work, &logs, events).await?
            }
            Sandbox::None => unconfined::run(Start::of(action, work), &bounds, work, &logs, events).await?,
        };
        times.command_ended = Some((SystemTime::now(), begun.elapsed()));
        let hit = work.group().map(super::cgroup::Group::hit).unwrap_or_default();
        let exit_code = match end {
            End::Exit(code) => Some(code),
            End::TimedOut => None,
            End::Unknown if hit.memory => Some(KILLED),
            End::Unknown => return Err(ExecuteError::Sandbox { reason: complaint(work.path()).await }),
        };
        let notice = limits.notice(exit_code, hit);
        notice.lines().for_each(|line| events.log(line));
        logs.stderr.append(notice.into_bytes()).await?;
        Ok(Ended { exit_code, hit })
    }

    /// Stores what the command left: the logs, and the outputs too if it came to its end.
    async fn collect(
        &self,
        function: DigestFunction,
        action: &Arc<Action>,
        work: &WorkDirectory,
        exit_code: Option<i32>,
        times: &mut Times,
    ) -> Result<reapi::ActionResult, ExecuteError> {
        let (store, action, host) = (self.store.clone(), Arc::clone(action), Arc::clone(work.host()));
        let (work, layers, limit) = (work.path().to_owned(), work.layers(), self.options.limits.outputs_bytes);
        let mut result = blocking(move || {
            let room = Room::new(limit);
            let collector = Collector { store: &store, function, host: &host, work: &work, layers: &layers, room };
            let mut result = reapi::ActionResult {
                stdout_digest: collector.log("stdout")?,
                stderr_digest: collector.log("stderr")?,
                ..Default::default()
            };
            if let Some(exit_code) = exit_code {
                result.exit_code = exit_code;
                collector.collect(&action, &mut result)?;
            }
            Ok::<_, ExecuteError>(result)
        })
        .await?;
        times.completed = Some(SystemTime::now());
        result.execution_metadata = Some(times.metadata(&self.options.worker));
        Ok(result)
    }

    async fn execute_uncached(
        &self,
        request: &ExecuteRequest,
        events: &dyn ExecutionEvents,
    ) -> Result<reapi::ActionResult, ExecuteError> {
        let digest = request.action;
        let (action, closure) = Action::load(&self.store, digest, &self.options).await?;
        if self.options.sandbox == Sandbox::None {
            action.platform.check_unconfined()?;
        }
        if action.platform.is_about_checkpoints() && !request.checkpoints {
            return Err(ExecuteError::CheckpointsDenied);
        }
        if action.platform.checkpoint {
            self.checkpoint_maker.fingerprint().await?;
        }
        // It may wait for long, which is of no use when there is no such service.
        self.services.find(&action.platform).await?;
        // Nobody else uses its inputs until then.
        let _pin = self.store.pin(closure.blobs());
        let mut times = Times::new(SystemTime::now());
        events.metadata(&times.metadata(""));
        events.stage(Stage::Queued);
        let slot = self.queue.slot(&request.client, request.priority).await?;
        times.started = Some(SystemTime::now());
        events.metadata(&times.metadata(&self.options.worker));
        events.stage(Stage::Executing);
        let mut work = WorkDirectory::create(&self.host(&action.platform).await?, slot).await?;
        let action = Arc::new(action);
        let result = self.run(digest.function(), &action, closure, &mut times, &mut work, events).await;
        work.close().await;
        let (result, hit) = result?;
        if result.exit_code == 0 && action.cacheable && !hit.memory {
            self.actions.put(&digest, &result).await?;
        }
        Ok(result)
    }
}

#[async_trait]
impl Execution for LocalExecution {
    fn gives_users(&self) -> bool {
        self.options.sandbox == Sandbox::Bubblewrap
    }

    async fn checkpoints(&self) -> Result<CheckpointWorker, ExecuteError> {
        self.checkpoint_maker.fingerprint().await.map(CheckpointWorker::Own)
    }

    async fn execute(&self, request: ExecuteRequest, events: &dyn ExecutionEvents) -> Result<Executed, ExecuteError> {
        if !request.skip_cache_lookup {
            events.stage(Stage::CacheCheck);
            if let Some(result) = cached_result(&self.store, &*self.actions, &request.action).await? {
                events.stage(Stage::Completed);
                return Ok(Executed { result, cached: true });
            }
        }
        let result = self.execute_uncached(&request, events).await?;
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
