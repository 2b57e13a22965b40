//! What a client does when the server, or the endpoint behind it, cannot be reached.

use std::time::{Duration, Instant};

use super::events::{Event, Events};
use super::{Client, ClientError, ClientOptions};
use crate::transport::Backoff;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What to do when nobody can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnUnavailable {
    /// Say so and end.
    Fail,
    /// Try again until somebody can.
    Wait,
    /// Build on this host, with a private daemon.
    Local,
}

impl Client {
    /// Does something, and what the policy says when nobody can be reached. For `Local`, this client turns into one
    /// with a private daemon. `patience` bounds the time spent on waiting.
    ///
    /// # Errors
    /// Those of the work; `Waited` when patience came to its end.
    pub async fn persist<T>(
        &mut self,
        policy: OnUnavailable,
        patience: Option<Duration>,
        events: &dyn Events,
        work: impl AsyncFn(&Client) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        if policy == OnUnavailable::Wait {
            return Box::pin(self.wait_for(patience, events, async || work(self).await)).await;
        }
        match Box::pin(work(self)).await {
            Err(error) if error.is_unavailable() && policy == OnUnavailable::Local && self.options.serve.is_some() => {
                events.event(Event::Local { reason: error.to_string() });
                *self = Self::new(ClientOptions { serve: None, ..self.options.clone() });
                Box::pin(work(self)).await
            }
            done => done,
        }
    }

    /// Does something, again and again while nobody can be reached. `patience` bounds the time spent on waiting.
    ///
    /// # Errors
    /// Those of the work; `Waited` when patience came to its end.
    pub async fn wait_for<T>(
        &self,
        patience: Option<Duration>,
        events: &dyn Events,
        work: impl AsyncFn() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let (started, mut backoff) = (Instant::now(), Backoff::new(FIRST_PAUSE, LONGEST_PAUSE));
        loop {
            let error = match work().await {
                Err(error) if error.is_unavailable() => error,
                done => return done,
            };
            let pause = backoff.pause();
            if let Some(patience) = patience
                && started.elapsed() + pause > patience
            {
                return Err(ClientError::Waited { seconds: patience.as_secs(), source: Box::new(error) });
            }
            events.event(Event::Waiting { reason: error.to_string() });
            tokio::time::sleep(pause).await;
        }
    }
}
