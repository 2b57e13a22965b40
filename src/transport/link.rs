//! A connection to one server that comes back by itself.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tonic::service::interceptor::InterceptedService;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::backoff::Backoff;
use super::connect::{Connector, builder};
use super::{Breaker, Endpoint, EndpointError, Headers, Security};

/// What generated clients speak over.
pub type Channel = InterceptedService<tonic::transport::Channel, Headers>;

/// How long a call waits for a server that is not there to come back, a restart say.
const PATIENCE: Duration = Duration::from_millis(900);
/// How often a call is made that failed for a reason which may pass.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Longest pause that a server's own wish is granted.
const LONGEST_WISH: Duration = Duration::from_secs(5);

/// A connection to one server. Clones share it.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    security: Security,
    breaker: Breaker,
    /// By which the server is looked for when it says nothing; `None` when the connection is not made here.
    connector: Option<Connector>,
    channel: Channel,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.inner.endpoint).finish()
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server is not there.
    #[error(transparent)]
    Unreachable(#[from] EndpointError),
    /// It answered with an error, or not in time, or broke off more often than it was asked again.
    #[error("{rpc} at `{endpoint}` failed")]
    Failed {
        /// The call.
        rpc: &'static str,
        /// The server.
        endpoint: Endpoint,
        /// Its answer, or what the transport says.
        #[source]
        status: Box<Status>,
    },
}

impl Link {
    /// Returns a connection that is opened when it is first used, on the runtime that uses it.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(endpoint: &Endpoint, security: &Security) -> Result<Self, EndpointError> {
        Self::sharing(endpoint, security, Breaker::default())
    }

    /// Returns a connection that is not made here.
    #[cfg(test)]
    pub(crate) fn over(channel: tonic::transport::Channel) -> Self {
        let endpoint = Endpoint::Unix("in-process".into());
        let security = Security::default();
        let channel = InterceptedService::new(channel, security.headers.clone());
        Self { inner: Arc::new(Inner { endpoint, security, breaker: Breaker::default(), connector: None, channel }) }
    }

    /// Returns another connection to the same server; what one of them learns of its state, all know.
    ///
    /// # Errors
    /// As `new`.
    pub fn another(&self) -> Result<Self, EndpointError> {
        Self::sharing(&self.inner.endpoint, &self.inner.security, self.inner.breaker.clone())
    }

    fn sharing(endpoint: &Endpoint, security: &Security, breaker: Breaker) -> Result<Self, EndpointError> {
        // A server that names a plain address would else see what was meant for one that shows who it is.
        if matches!(endpoint, Endpoint::Tcp(_)) && security.wants_tls() {
            return Err(EndpointError::Plain { endpoint: endpoint.clone() });
        }
        let connector = Connector { endpoint: endpoint.clone(), security: security.clone(), breaker: breaker.clone() };
        let channel = builder(endpoint)?.connect_with_connector_lazy(connector.clone());
        let channel = InterceptedService::new(channel, security.headers.clone());
        let (endpoint, security, connector) = (endpoint.clone(), security.clone(), Some(connector));
        let inner = Inner { endpoint, security, breaker, connector, channel };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns the address.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    /// Returns what a generated client speaks over, for a call that is made once and waits as long as it takes.
    pub fn channel(&self) -> Channel {
        self.inner.channel.clone()
    }

    /// Makes a call, each attempt within `deadline`. It is made again when the connection broke or the server said
    /// that it may succeed later; so it must be one that does no harm when made twice.
    ///
    /// # Errors
    /// `Unreachable` when there is no server, within a second; else what the last attempt came to.
    pub async fn call<T, F>(
        &self,
        rpc: &'static str,
        deadline: Duration,
        call: impl Fn(Channel) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut attempt = 1;
        loop {
            let status = match self.once(deadline, &call).await? {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            let again = if attempt < ATTEMPTS { pause(&status, &mut backoff) } else { None };
            let Some(pause) = again else {
                return Err(self.failed(rpc, status));
            };
            tracing::debug!(rpc, endpoint = %self.endpoint(), %status, attempt, ?pause, "a call failed and is made again");
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }

    /// Makes a call, and takes the first answer that the server gives, whatever it is.
    ///
    /// # Errors
    /// As `call`.
    pub async fn call_once<T, F>(
        &self,
        rpc: &'static str,
        deadline: Duration,
        call: impl Fn(Channel) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let answer = self.once(deadline, &call).await?;
        answer.map_err(|status| self.failed(rpc, status))
    }

    /// Makes a call and waits for nobody who is not there.
    ///
    /// # Errors
    /// As `call`.
    pub async fn call_now<T, F>(
        &self,
        rpc: &'static str,
        deadline: Duration,
        call: impl Fn(Channel) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let answer = timeout(deadline, call(self.channel())).await;
        let status = match answer.unwrap_or_else(|_| Err(late(deadline))) {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        match self.inner.breaker.reason() {
            Some(reason) if is_of_transport(&status) => Err(self.unreachable(reason).into()),
            _ => Err(self.failed(rpc, status)),
        }
    }

    /// Makes one attempt, as soon as the server seems to be there. The inner error is one that the server, or the
    /// connection to it, gave.
    async fn once<T, F>(
        &self,
        deadline: Duration,
        call: &impl Fn(Channel) -> F,
    ) -> Result<Result<T, Status>, EndpointError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let started = Instant::now();
        loop {
            self.admitted(started).await?;
            let answer = tokio::select! {
                answer = timeout(deadline, call(self.channel())) => answer.unwrap_or_else(|_| Err(late(deadline))),
                error = self.gone() => return Err(error),
            };
            if !answer.as_ref().is_err_and(is_of_transport) {
                self.inner.breaker.heard();
                return Ok(answer);
            }
            if self.inner.breaker.reason().is_none() {
                return Ok(answer);
            }
        }
    }

    /// Returns when the server does not speak any more: for those who wait for something that may take long.
    pub async fn gone(&self) -> EndpointError {
        match &self.inner.connector {
            Some(connector) => connector.gone().await,
            None => std::future::pending().await,
        }
        self.unreachable(self.inner.breaker.reason().unwrap_or_default())
    }

    /// Waits until the breaker lets this caller try, for as long as its patience lasts.
    async fn admitted(&self, started: Instant) -> Result<(), EndpointError> {
        loop {
            let late = started.elapsed() > PATIENCE;
            match self.inner.breaker.admit() {
                Ok(()) if !late || self.inner.breaker.reason().is_none() => return Ok(()),
                Ok(()) => return Err(self.unreachable(self.inner.breaker.reason().unwrap_or_default())),
                Err(silent) if started.elapsed() + silent.wait > PATIENCE => {
                    return Err(self.unreachable(silent.reason));
                }
                Err(silent) => tokio::time::sleep(silent.wait).await,
            }
        }
    }

    fn failed(&self, rpc: &'static str, status: Status) -> CallError {
        CallError::Failed { rpc, endpoint: self.endpoint().clone(), status: Box::new(status) }
    }

    fn unreachable(&self, reason: String) -> EndpointError {
        EndpointError::Unreachable { endpoint: self.endpoint().clone(), reason }
    }
}

fn late(deadline: Duration) -> Status {
    Status::deadline_exceeded(format!("no answer within {} s", deadline.as_secs_f32()))
}

/// Says whether a status was made here because the connection broke, and not sent by the server.
pub fn is_of_transport(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Returns the pause before the next attempt, or `None` when it would fail the same way.
fn pause(status: &Status, backoff: &mut Backoff) -> Option<Duration> {
    if is_of_transport(status) {
        return Some(backoff.pause());
    }
    match status.code() {
        Code::Unavailable | Code::Aborted => Some(backoff.pause()),
        Code::ResourceExhausted => {
            let wish = status.get_details_retry_info()?.retry_delay?;
            Some(backoff.pause().max(wish.min(LONGEST_WISH)))
        }
        _ => None,
    }
}
