//! The forms of a service, each made and then tried once.
//!
//! ```text
//! cold start, warm-up ─► dump (layer 0) ─► restore, ready ─► stop (layer 1) ─► start, ready
//!                          │ fails            │ fails
//!                          ▼                  ▼
//!                        stop (layer 0)     cold start, warm-up, stop (layer 0)
//! ```

use std::path::PathBuf;

use tokio::time::{Instant, timeout};

use super::warm::{Started, Starter, milliseconds};
use super::{Say, WorkerError};
use crate::container::{Beginning, ContainerError, Running, Service, Stopped};
use crate::spec::{self, Form};

/// What makes them.
pub(super) struct Forms<'a> {
    starter: Starter<'a>,
    /// Where memory is written.
    images: PathBuf,
    say: Say<'a>,
}

/// What came of it.
pub(super) struct Tried {
    pub(super) cold_ms: u64,
    pub(super) warmup_ms: u64,
    pub(super) memory: Form,
    pub(super) filesystem: Form,
}

/// A service that is warm.
struct Warm {
    running: Running,
    cold_ms: u64,
    warmup_ms: u64,
}

impl<'a> Forms<'a> {
    pub(super) fn new(service: Service, spec: &'a spec::Service, images: PathBuf, say: Say<'a>) -> Self {
        Self { starter: Starter { service, spec, say }, images, say }
    }

    /// Returns the service, none of which runs.
    pub(super) fn end(self) -> Service {
        self.starter.service
    }

    /// Makes them. The layers that they need are kept afterwards.
    ///
    /// # Errors
    /// When the service does not get warm, or the system refuses.
    pub(super) async fn make(&mut self) -> Result<Tried, WorkerError> {
        let Warm { running, cold_ms, warmup_ms } = self.warm().await?;
        let without_ms = cold_ms.saturating_add(warmup_ms);
        let (memory, running) = self.memory(running, without_ms).await?;
        self.tell("memory", &memory);
        let filesystem = self.filesystem(running, without_ms).await?;
        self.tell("filesystem", &filesystem);
        Ok(Tried { cold_ms, warmup_ms, memory, filesystem })
    }

    fn tell(&self, name: &str, form: &Form) {
        match form {
            Form::Published { ready_ms, .. } => (self.say)(&format!("form {name}: ready after {ready_ms} ms")),
            Form::Refused { reason } => (self.say)(&format!("no form {name}: {reason}")),
        }
    }

    async fn warm(&mut self) -> Result<Warm, WorkerError> {
        let started = self.starter.start(&Beginning::Command).await?;
        let cold_ms = started.ready_ms;
        let (running, warmup_ms) = self.starter.warm_up(started).await?;
        Ok(Warm { running, cold_ms, warmup_ms })
    }

    /// Makes the form `memory`, and returns it with a warm service.
    async fn memory(&mut self, mut running: Running, without_ms: u64) -> Result<(Form, Running), WorkerError> {
        let (began, limit) = (Instant::now(), self.starter.limit());
        match timeout(limit, running.dump(&self.images)).await {
            Ok(Ok(())) => {}
            Ok(Err(ContainerError::NotDumped { reason })) => {
                return Ok((refused("it cannot be dumped", &reason), running));
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                running.kill().await;
                let form = refused("it cannot be dumped", &format!("CRIU had not done it after {} s", limit.as_secs()));
                return Ok((form, self.warm().await?.running));
            }
        }
        (self.say)(&format!("dumped after {} ms", milliseconds(began)));
        running.ended().await.map_err(WorkerError::io("wait for", &self.starter.service.root))?;
        drop(running);
        self.starter.service.directory.keep();
        match self.starter.start(&Beginning::Memory(self.images.clone())).await {
            Ok(Started { running, ready_ms, .. }) => Ok((self.judge(ready_ms, without_ms), running)),
            Err(WorkerError::Service { trouble, .. }) => {
                self.starter.service.directory.forget();
                let form = refused("it was dumped, but does not come back", &trouble.to_string());
                Ok((form, self.warm().await?.running))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the form `filesystem` of a warm service.
    async fn filesystem(&mut self, running: Running, without_ms: u64) -> Result<Form, WorkerError> {
        let began = Instant::now();
        let stopped = running.stop(&self.starter.spec.stop).await;
        match stopped.map_err(WorkerError::io("stop", &self.starter.service.root))? {
            Stopped::Cleanly => {}
            Stopped::Killed(reason) => return Ok(refused("it does not stop cleanly", &reason)),
        }
        (self.say)(&format!("stopped after {} ms", milliseconds(began)));
        self.starter.service.directory.keep();
        match self.starter.start(&Beginning::Command).await {
            Ok(Started { running, ready_ms, .. }) => {
                running.kill().await;
                Ok(self.judge(ready_ms, without_ms))
            }
            Err(WorkerError::Service { trouble, .. }) => {
                Ok(refused("it does not start again on what it has left", &trouble.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// Says whether a form is worth having that lies over all layers that are kept.
    fn judge(&self, ready_ms: u64, without_ms: u64) -> Form {
        if ready_ms < without_ms {
            let layers = self.starter.service.directory.kept().len();
            return Form::Published { ready_ms, layers };
        }
        let reason = format!(
            "it is not faster: ready after {ready_ms} ms, and a cold start with its warm-up takes {without_ms} ms"
        );
        Form::Refused { reason }
    }
}

fn refused(what: &str, why: &str) -> Form {
    Form::Refused { reason: format!("{what}: {why}") }
}
