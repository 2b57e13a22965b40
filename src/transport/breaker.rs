//! Whether an endpoint answers at all, shared by everything that talks to it.
//!
//! Closed while it answers. A connection that fails opens it: then nobody waits for the same silence again until a
//! pause is over, after which one caller may try. The pause grows to two seconds, so a recovery is noticed within that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::backoff::Backoff;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The state of one endpoint.
#[derive(Debug, Clone, Default)]
pub(super) struct Breaker {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    heard: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    reason: String,
    try_at: Instant,
    backoff: Backoff,
}

/// Why a caller should not try now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Silent {
    /// What the last attempt came to.
    pub(super) reason: String,
    /// When the next one may be made.
    pub(super) wait: Duration,
}

impl Breaker {
    /// Lets a caller try, unless the endpoint was silent a moment ago. Of many who wait, one is let through.
    pub(super) fn admit(&self) -> Result<(), Silent> {
        let mut state = self.lock();
        let Some(open) = state.open.as_mut() else { return Ok(()) };
        let now = Instant::now();
        if now < open.try_at {
            return Err(Silent { reason: open.reason.clone(), wait: open.try_at - now });
        }
        open.try_at = now + open.backoff.pause();
        Ok(())
    }

    /// Returns why the endpoint counts as silent, if it does.
    pub(super) fn reason(&self) -> Option<String> {
        self.lock().open.as_ref().map(|open| open.reason.clone())
    }

    /// Bytes came from the endpoint.
    pub(super) fn heard(&self) {
        *self.lock() = State { open: None, heard: Some(Instant::now()) };
    }

    /// Says whether anything came from the endpoint within this time.
    pub(super) fn heard_within(&self, time: Duration) -> bool {
        self.lock().heard.is_some_and(|heard| heard.elapsed() < time)
    }

    /// There is no connection.
    pub(super) fn failed(&self, reason: String) {
        let mut state = self.lock();
        let mut backoff = match state.open.take() {
            Some(open) => open.backoff,
            None => Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        };
        let try_at = Instant::now() + backoff.pause();
        state.open = Some(Open { reason, try_at, backoff });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_with_a_failure_and_closes_with_an_answer() {
        let breaker = Breaker::default();
        assert_eq!(breaker.admit(), Ok(()));
        breaker.failed("refused".to_owned());
        let silent = breaker.admit().expect_err("open");
        assert_eq!(silent.reason, "refused");
        assert!(silent.wait <= FIRST_PAUSE);
        breaker.heard();
        assert_eq!((breaker.admit(), breaker.reason()), (Ok(()), None));
    }

    #[test]
    fn after_the_pause_one_may_try() {
        let breaker = Breaker::default();
        breaker.failed("refused".to_owned());
        std::thread::sleep(FIRST_PAUSE);
        assert_eq!(breaker.admit(), Ok(()));
        assert!(breaker.admit().is_err());
    }

    #[test]
    fn pauses_never_exceed_two_seconds() {
        let breaker = Breaker::default();
        (0..20).for_each(|_| breaker.failed("refused".to_owned()));
        assert!(breaker.admit().expect_err("open").wait <= LONGEST_PAUSE);
    }
}
