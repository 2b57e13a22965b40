//! From a start to a service that is ready, and warm.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::error::Trouble;
use super::{Say, WorkerError};
use crate::container::{Beginning, ContainerError, Output, Running, Service, until_ready};
use crate::spec;

/// How long a service may take to get warm when nothing is said of that.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long a service that dies may outlive a command beside it.
const DEATH_TIME: Duration = Duration::from_millis(200);
/// The exit code of a command that was killed.
const KILLED: u8 = 137;

/// A service that is to be started.
pub(super) struct Starter<'a> {
    pub(super) service: Service,
    pub(super) spec: &'a spec::Service,
    pub(super) say: Say<'a>,
}

/// A service that is ready.
pub(super) struct Started {
    pub(super) running: Running,
    /// Milliseconds that it took.
    pub(super) ready_ms: u64,
    /// Until when it has to be warm.
    deadline: Instant,
}

impl Starter<'_> {
    /// Returns how long it may take until the service is warm.
    pub(super) fn limit(&self) -> Duration {
        self.spec.timeout.map_or(TIMEOUT, Duration::from_secs)
    }

    /// Starts the service and waits until it is ready.
    ///
    /// # Errors
    /// `Service` when it does not get there; nothing of it runs any more then.
    pub(super) async fn start(&mut self, beginning: &Beginning) -> Result<Started, WorkerError> {
        let (began, limit) = (Instant::now(), self.limit());
        let deadline = began + limit;
        let started = timeout_at(deadline, self.service.start(beginning, Some(&self.spec.ready))).await;
        let running = match started {
            Ok(Ok(running)) => running,
            Ok(Err(ContainerError::NotStarted { .. })) => return Err(self.trouble(Trouble::NotStarted)),
            Ok(Err(ContainerError::NotRestored { reason })) => {
                return Err(self.trouble(Trouble::NotRestored { reason }));
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(self.trouble(Trouble::NotReady { seconds: limit.as_secs() })),
        };
        let ready = tokio::select! {
            () = running.dead() => None,
            ready = timeout_at(deadline, until_ready(&self.spec.ready, &running)) => Some(ready),
        };
        match ready {
            Some(Ok(())) => {
                let ready_ms = milliseconds(began);
                (self.say)(&format!("ready after {ready_ms} ms"));
                Ok(Started { running, ready_ms, deadline })
            }
            Some(Err(_)) => {
                running.kill().await;
                Err(self.trouble(Trouble::NotReady { seconds: limit.as_secs() }))
            }
            None => Err(self.end(running).await),
        }
    }

    /// Runs the commands of the warm-up, and returns the milliseconds that they took.
    ///
    /// # Errors
    /// `Service` when one of them fails; nothing runs any more then.
    pub(super) async fn warm_up(&self, started: Started) -> Result<(Running, u64), WorkerError> {
        let Started { running, deadline, .. } = started;
        let began = Instant::now();
        for command in &self.spec.warmup {
            let shown = command.cmd.join(" ");
            let ran = tokio::select! {
                biased;
                () = running.dead() => return Err(self.end(running).await),
                ran = timeout_at(deadline, running.run(command, [])) => ran,
            };
            // A command dies with the service, and may do so a moment before.
            let failed = ran.as_ref().is_ok_and(|ran| ran.as_ref().is_ok_and(|ran| ran.code != 0));
            if failed && timeout(DEATH_TIME, running.dead()).await.is_ok() {
                return Err(self.end(running).await);
            }
            let (trouble, output) = match ran {
                Ok(Ok(ran)) if ran.code == 0 => continue,
                Ok(Ok(ran)) => (Trouble::Warmup { command: shown, code: ran.code }, ran.output),
                Ok(Err(error)) => return Err(WorkerError::io("run in the container", command.cmd[0].as_ref())(error)),
                Err(_) => (Trouble::Slow { command: shown, seconds: self.limit().as_secs() }, String::new()),
            };
            running.kill().await;
            let log = format!("{output}\n{}", self.log()).trim().to_owned();
            return Err(WorkerError::Service { trouble, log });
        }
        let warmup_ms = milliseconds(began);
        if !self.spec.warmup.is_empty() {
            (self.say)(&format!("warm after {warmup_ms} ms more"));
        }
        Ok((running, warmup_ms))
    }

    /// Returns the error for a service that has ended by itself.
    async fn end(&self, mut running: Running) -> WorkerError {
        let code = running.ended().await.unwrap_or(KILLED);
        self.trouble(if running.has_begun() { Trouble::Ended { code } } else { Trouble::NotStarted })
    }

    fn trouble(&self, trouble: Trouble) -> WorkerError {
        WorkerError::Service { trouble, log: self.log() }
    }

    fn log(&self) -> String {
        Output::of(self.service.directory.path()).tail()
    }
}

/// Returns how many have gone by.
pub(super) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
