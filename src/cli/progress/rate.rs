//! How fast bytes move, as it was of late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is looked back on.
const WINDOW: Duration = Duration::from_secs(10);
/// Between two that are remembered.
const STEP: Duration = Duration::from_millis(250);
/// After so long a rate says something.
const FIRST: Duration = Duration::from_millis(500);

/// How far something had come, and when.
#[derive(Debug, Default)]
pub(super) struct Rate {
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// Notes how far it is; returns bytes in a second, once there is something to tell them from.
    pub(super) fn note(&mut self, now: Instant, done: u64) -> Option<f64> {
        if self.samples.back().is_some_and(|(_, before)| done < *before) {
            // It has begun anew.
            self.samples.clear();
        }
        while self.samples.get(1).is_some_and(|(at, _)| *at + WINDOW <= now) {
            self.samples.pop_front();
        }
        if self.samples.back().is_none_or(|(at, _)| *at + STEP <= now) {
            self.samples.push_back((now, done));
        }
        let (at, before) = self.samples.front()?;
        let elapsed = now.saturating_duration_since(*at);
        #[expect(clippy::cast_precision_loss, reason = "it is shown with few digits")]
        (elapsed >= FIRST).then(|| (done - before) as f64 / elapsed.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let (mut rate, begun) = (Rate::default(), Instant::now());
        let mut note = |milliseconds, done| rate.note(begun + Duration::from_millis(milliseconds), done);
        assert_eq!(note(0, 100), None);
        assert_eq!(note(400, 500), None, "too early");
        assert_eq!(note(1000, 1100), Some(1000.0), "what was there when it began does not count");
        assert_eq!(note(11_000, 1100), Some(0.0), "it has stopped");
        assert_eq!(note(12_000, 3100), Some(2000.0 / 11.0), "from the last that lies before the window");
        assert_eq!(note(13_000, 0), None, "it has begun anew");
        assert_eq!(note(14_000, 700), Some(700.0));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (mut rate, begun) = (Rate::default(), Instant::now());
        for n in 0..100_000 {
            rate.note(begun + Duration::from_millis(n), n);
        }
        assert!(rate.samples.len() <= 42, "{}", rate.samples.len());
    }
}
