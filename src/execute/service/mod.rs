//! The service that an action has beside it, by the property `service`: a copy of a checkpoint in a container of its own,
//! with a network that the command shares.
//!
//! ```text
//! descriptor, known to this daemon ─► form for this host ─► on disk, once for all actions (parts.rs)
//!                                                                 └─► an instance for each action (beside.rs)
//! ```

mod beside;
mod parts;

use std::path::Path;
use std::sync::Arc;

use super::checkpoint::CheckpointMaker;
use super::error::chain;
use super::host::Host;
use super::limits::Limits;
use super::platform::Platform;
use super::shared::{SharedInputs, SharedRoot};
use super::work::WorkDirectory;
use super::{ExecuteError, Services};
use crate::checkpoint::{Choice, choose, next_form};
use crate::container::{self, Owner, Programs};
use crate::digest::{Digest, DigestFunction};
use crate::instance::{InstanceError, Order};
use crate::spec::{CheckpointFacts, Descriptor, Form, FormName};
use crate::store::{LocalBlobStore, StoreError};

pub(super) use beside::Beside;

use parts::{LayError, Parts};

/// The services that actions have asked for.
pub(super) struct ReadyServices {
    services: Arc<dyn Services>,
    shared: SharedInputs,
}

/// What services are started with.
pub(super) struct Means<'a> {
    /// Where checkpoints lie.
    pub(super) store: &'a LocalBlobStore,
    /// Who knows this host.
    pub(super) maker: &'a CheckpointMaker,
    /// What a service may use.
    pub(super) limits: &'a Limits,
}

/// A checkpoint from which copies can be started.
pub(super) struct Checkpoint {
    digest: Digest,
    descriptor: Descriptor,
    facts: CheckpointFacts,
}

/// A checkpoint on disk, in one form.
pub(super) struct Ready<'a> {
    checkpoint: &'a Checkpoint,
    choice: Choice,
    root: Arc<SharedRoot>,
}

impl ReadyServices {
    /// Returns services that are found in this way.
    pub(super) fn new(services: Arc<dyn Services>) -> Self {
        Self { services, shared: SharedInputs::default() }
    }

    /// Returns the checkpoint that an action asks for, if it does.
    ///
    /// # Errors
    /// `Invalid` when this daemon does not know it; `Services` when this host can start none.
    pub(super) async fn find(&self, platform: &Platform) -> Result<Option<Checkpoint>, ExecuteError> {
        let Some(digest) = platform.service else { return Ok(None) };
        let unknown = || {
            let reason = format!(
                "asks for `service` = `{digest:?}`, which is no checkpoint that this server has made: have it make the \
                 environment first, as `envserve fetch --absent` does, and take the property that this prints"
            );
            ExecuteError::Invalid { what: "command", field: "platform", reason }
        };
        let descriptor = self.services.checkpoint(&digest).await?.ok_or_else(unknown)?;
        let facts = descriptor.checkpoint.clone().ok_or_else(unknown)?;
        check_host()?;
        Ok(Some(Checkpoint { digest, descriptor, facts }))
    }

    /// Has a checkpoint on disk in the fastest form that this host can, or in the one that is wished for.
    ///
    /// # Errors
    /// `Service` when it cannot be used, or parts of it are gone.
    pub(super) async fn ready<'a>(
        &self,
        means: &Means<'_>,
        host: &Host,
        checkpoint: &'a Checkpoint,
        wish: Option<FormName>,
    ) -> Result<Ready<'a>, ExecuteError> {
        let Checkpoint { digest, descriptor, facts } = checkpoint;
        let here = match facts.made.memory {
            Form::Published { .. } => means.maker.fingerprint().await,
            Form::Refused { .. } => Err(ExecuteError::CheckpointsDenied),
        };
        let here = here.map_err(|error| error.to_string());
        let choice = choose(facts, here.as_deref().map_err(String::as_str), wish);
        let choice = choice.map_err(|error| checkpoint.unusable(error.to_string()))?;
        let key = DigestFunction::Sha256.digest(format!("{digest:?} {}", choice.form.as_str()).as_bytes());
        let root = self.shared.get_made(key, (0, 0), host, async |root: Arc<SharedRoot>| {
            let made = async { Parts::read(means.store, descriptor, &choice).await?.make(means.store, root).await };
            made.await.map_err(|error| checkpoint.failed(error))
        });
        Ok(Ready { checkpoint, root: root.await?, choice })
    }

    /// Starts a copy beside the action of a work directory: in another form where the first does not start.
    ///
    /// # Errors
    /// `Service` when it does not get ready.
    ///
    /// # Cancel safety
    /// What was started ends with what is in the work directory.
    pub(super) async fn start(
        &self,
        means: &Means<'_>,
        mut ready: Ready<'_>,
        work: &mut WorkDirectory,
    ) -> Result<(), ExecuteError> {
        loop {
            let error = match beside::start(means, &ready, work).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let next = next_form(ready.choice.form, &ready.checkpoint.facts.made).filter(|_| error.is_of_form());
            let Some(next) = next else { return Err(told(&ready, error)) };
            let (form, next_form) = (ready.choice.form.as_str(), next.as_str());
            tracing::warn!(error = chain(&error), form, next_form, "a service does not start in a form");
            work.evacuate().await.map_err(ExecuteError::io("end the service in", work.path()))?;
            ready = self.ready(means, work.host(), ready.checkpoint, Some(next)).await?;
        }
    }
}

/// Returns why a service is not there, with the end of what it has said.
fn told(ready: &Ready<'_>, error: InstanceError) -> ExecuteError {
    let (reason, log) = match error {
        InstanceError::Failed(failure) => (failure.text, failure.log),
        error => (chain(&error), String::new()),
    };
    let reason = format!("{reason} (form `{}`)", ready.choice.form.as_str());
    ExecuteError::Service { service: ready.checkpoint.digest, reason, log }
}

impl Checkpoint {
    fn unusable(&self, reason: String) -> ExecuteError {
        ExecuteError::Service { service: self.digest, reason, log: String::new() }
    }

    fn failed(&self, error: LayError) -> ExecuteError {
        match error {
            LayError::Store(StoreError::Missing { digest, .. }) => self.unusable(format!(
                "`{digest:?}` of it is gone from the CAS: have this server make the environment again, as `envserve \
                 fetch --absent` does"
            )),
            LayError::Store(error) => error.into(),
            error => self.unusable(chain(&error)),
        }
    }
}

impl Ready<'_> {
    /// Returns the order for a copy, whose files lie in this directory.
    fn order(&self, directory: &Path, limits: &Limits) -> Order {
        let places = parts::Places::within(self.root.path());
        let (name, key) = ("service".to_owned(), format!("{:?}", self.checkpoint.digest));
        let mut order = Order::of_image(directory, name, key, places.root(), places.config());
        order.layers = (0..self.choice.layers).map(|number| places.layer(number)).collect();
        order.images = (self.choice.form == FormName::Memory).then(|| places.memory());
        let Limits { memory_bytes, processes, .. } = *limits;
        order.options.limits = Some(container::Limits { memory_bytes, processes });
        order.owner = Some(std::process::id());
        order.of_service(&self.checkpoint.facts.service, self.choice.form)
    }
}

/// Checks that this host can start services.
fn check_host() -> Result<(), ExecuteError> {
    let lacks = |reason: String| ExecuteError::Services { reason };
    match Owner::current().map_err(|error| lacks(error.to_string()))? {
        Owner::Image => {}
        Owner::User => return Err(lacks("it is not root".to_owned())),
    }
    Programs::find().map(drop).map_err(|error| lacks(error.to_string()))
}
