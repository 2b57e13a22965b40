//! An instance that lives no longer than the process that has started it, and is never kept by itself.

use std::fs::File;
use std::path::Path;

use tokio::time::timeout;

use super::control::{Request, ask};
use super::error::InstanceError;
use super::order::Order;
use super::state::Instance;
use super::up::{END_TIMEOUT, Supervised};

/// An instance that ends when this is dropped, a little later, or with the process.
pub struct Held {
    supervised: Supervised,
}

impl Held {
    /// Starts the process that will look after the instance: this program, with the CRIU that is named.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(program: &Path, criu: Option<&Path>) -> Result<Self, InstanceError> {
        Ok(Self { supervised: Supervised::spawn(program, criu)? })
    }

    /// Starts the instance, and returns it when it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    ///
    /// # Cancel safety
    /// What was started is there until `end`.
    pub async fn start(&mut self, order: &Order) -> Result<Instance, InstanceError> {
        self.supervised.start(&order.line()?).await
    }

    /// Opens the network of an instance that runs. Blocks.
    ///
    /// # Errors
    /// When it has ended.
    pub fn network(instance: &Instance) -> Result<File, InstanceError> {
        let gone = || InstanceError::Abandoned { id: Some(instance.id.clone()) };
        let path = format!("/proc/{}/ns/net", instance.pid.ok_or_else(gone)?);
        let network = File::open(&path).map_err(InstanceError::io("open", path.as_ref()))?;
        // Who answers now had that process all the time, so the number was no other's.
        let answer = ask(&instance.directory, Request::Enter);
        let answer = answer.map_err(InstanceError::io("speak to the instance in", &instance.directory))?;
        match answer {
            Some((answer, _)) => match answer.failure {
                Some(failure) => Err(InstanceError::Failed(Box::new(failure))),
                None => Ok(network),
            },
            None => Err(gone()),
        }
    }

    /// Ends the instance, and returns when it is gone.
    pub async fn end(self) {
        let Supervised { mut child, stdin, .. } = self.supervised;
        drop(stdin);
        if timeout(END_TIMEOUT, child.wait()).await.is_err() {
            // With it the kernel kills the container.
            drop(child.kill().await);
        }
    }
}
