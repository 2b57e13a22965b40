//! How an instance is started, each time alike: from what it begins with to a service that is ready, warm, and has been
//! told that it is a copy.

use std::time::Duration;

use tokio::time::sleep;

use super::error::{Failure, InstanceError};
use super::order::Order;
use super::state::Instance;
use crate::container::{Beginning, Running, until_ready};
use crate::spec::{Command, Ready};

/// How long a command has to run when nothing says that it is ready.
const STILL_RUNNING: Duration = Duration::from_millis(100);
/// What a command learns of the copy that it runs in.
const GENERATION: &str = "ENVSERVE_GENERATION";
const ID: &str = "ENVSERVE_INSTANCE";
const FORM: &str = "ENVSERVE_FORM";

/// How an instance is started.
pub(super) struct Plan {
    pub(super) beginning: Beginning,
    pub(super) ready: Option<Ready>,
    warmup: Vec<Command>,
    restored: Option<Command>,
    /// What was given for this instance.
    variables: Vec<(String, String)>,
}

impl Plan {
    pub(super) fn of(order: &Order) -> Self {
        Self {
            beginning: order.images.clone().map_or(Beginning::Command, Beginning::Memory),
            ready: order.ready.clone(),
            warmup: order.warmup.clone(),
            restored: order.restored.clone(),
            variables: order.options.environment.clone(),
        }
    }

    /// Does everything that has to be done before others may reach the service.
    pub(super) async fn prepare(&self, running: &Running, instance: &Instance) -> Result<(), Failure> {
        self.wait(running).await;
        for command in &self.warmup {
            beside(running, "the warm-up command", command, Vec::new()).await?;
        }
        let Some(command) = &self.restored else { return Ok(()) };
        let own = [
            (GENERATION, instance.generation.as_str()),
            (ID, &instance.id),
            (FORM, instance.form.map_or("", |form| form.as_str())),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = self.variables.iter().cloned().chain(own).collect();
        beside(running, "the command `restored`,", command, variables).await
    }

    /// Waits until the service is ready.
    async fn wait(&self, running: &Running) {
        match (&self.beginning, &self.ready) {
            // What it said when it became ready, it does not say again; it runs already.
            (Beginning::Memory(_), Some(Ready::Log(_)) | None) => {}
            (_, Some(ready)) => until_ready(ready, running).await,
            (Beginning::Command, None) => {
                running.begun().await;
                sleep(STILL_RUNNING).await;
            }
        }
    }
}

/// Runs a command beside the service, with variables that come after its own.
async fn beside(
    running: &Running,
    what: &str,
    command: &Command,
    variables: Vec<(String, String)>,
) -> Result<(), Failure> {
    let failed = InstanceError::io("run a command beside the service of", "instance".as_ref());
    let ran = running.run(command, variables).await;
    let ran = ran.map_err(|error| Failure::of(&failed(error), String::new()))?;
    if ran.code == 0 { Ok(()) } else { Err(Failure::beside(what, &command.cmd, ran.code, ran.output)) }
}
