//! Actions run by a REAPI endpoint.
//!
//! One action goes from the request (`follow.rs`) to what the endpoint says became of it (`outcome.rs`). What may pass
//! is tried again; a worker that dies is such a thing. A connection that breaks costs nothing: the operation goes on
//! at the endpoint, and is waited for by its name.

mod follow;
mod logs;
mod outcome;
mod symlinks;

use std::time::Duration;

use async_trait::async_trait;
use prost::Message;
use tonic::Code;

use super::{ExecuteError, ExecuteRequest, Executed, Execution, ExecutionEvents};
use crate::digest::Digest;
use crate::proto::reapi;
use crate::store::{BlobStore, RemoteBlobStore, StoreError};
use crate::transport::{Backoff, Link};

use outcome::Outcome;

/// How often an action is asked for when the endpoint fails it for a reason that may pass.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The executor at an endpoint, within one instance.
#[derive(Debug, Clone)]
pub struct RemoteExecution {
    link: Link,
    instance: String,
    store: RemoteBlobStore,
    newest: (i32, i32),
}

impl RemoteExecution {
    /// Returns the executor behind a connection. `store` is the CAS that it works with, `newest` the newest version of
    /// the API that it speaks.
    pub fn new(link: Link, instance: String, store: RemoteBlobStore, newest: (i32, i32)) -> Self {
        Self { link, instance, store, newest }
    }

    /// Returns the same action as one whose result is neither looked up nor kept.
    async fn uncached(&self, action: &Digest) -> Result<Digest, ExecuteError> {
        let missing = || ExecuteError::MissingBlobs { digests: vec![*action] };
        let bytes = self.store.get(action).await?.ok_or_else(missing)?;
        let changed = reapi::Action { do_not_cache: true, ..reapi::Action::decode(bytes).unwrap_or_default() };
        let store: &dyn BlobStore = &self.store;
        Ok(store.put(action.function(), changed.encode_to_vec().into()).await?)
    }

    fn refused(&self, status: tonic::Status) -> StoreError {
        let endpoint = self.link.endpoint().to_string();
        StoreError::Rpc { rpc: "Execute", endpoint, source: Box::new(status) }
    }

    /// Returns the time that an action has, in seconds, as far as it says so.
    async fn timeout(&self, action: &Digest) -> Result<u64, StoreError> {
        let Some(bytes) = self.store.get(action).await? else { return Ok(0) };
        let action = reapi::Action::decode(bytes).unwrap_or_default();
        Ok(action.timeout.map_or(0, |timeout| u64::try_from(timeout.seconds).unwrap_or(0)))
    }
}

#[async_trait]
impl Execution for RemoteExecution {
    fn is_old(&self) -> bool {
        self.newest < (2, 1)
    }

    async fn execute(
        &self,
        mut request: ExecuteRequest,
        events: &dyn ExecutionEvents,
    ) -> Result<Executed, ExecuteError> {
        let mut uncached = false;
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut attempt = 1;
        loop {
            let response = self.follow(&request, events).await?;
            let status = match outcome::outcome(response, request.action.function())? {
                Outcome::Executed(executed) if !executed.cached || uncached => return Ok(*executed),
                // Some endpoints look results up even when they are not to.
                Outcome::Executed(_) if request.skip_cache_lookup => {
                    request.action = self.uncached(&request.action).await?;
                    uncached = true;
                    continue;
                }
                // Some keep the results of actions that failed. What stood in the way may be gone.
                Outcome::Executed(executed) if executed.result.exit_code != 0 => {
                    request.skip_cache_lookup = true;
                    continue;
                }
                Outcome::Executed(executed) => return Ok(*executed),
                Outcome::TimedOut(result) => {
                    let seconds = self.timeout(&request.action).await?;
                    return Err(ExecuteError::Timeout { seconds, result });
                }
                Outcome::MissingBlobs(digests) => return Err(ExecuteError::MissingBlobs { digests }),
                Outcome::Lacks(said) => return Err(ExecuteError::WorkerLacks { said }),
                Outcome::Refused(status) => {
                    let endpoint = self.link.endpoint().to_string();
                    return Err(ExecuteError::Refused { endpoint, status });
                }
                Outcome::Failed(status) => status,
            };
            if attempt == ATTEMPTS {
                return Err(self.refused(*status).into());
            }
            if attempt == 1 && status.code() == Code::Internal {
                symlinks::put_targets(&self.store, &request.action).await?;
            }
            let pause = backoff.pause();
            tracing::warn!(endpoint = %self.link.endpoint(), action = ?request.action, %status, attempt, ?pause,
                "the endpoint failed an action: once more");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}
