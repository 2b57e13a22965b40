//! How far many pieces of work have come together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::HumanDuration;

use super::clean;
use super::state::LINE_EVERY;

/// Fewest that tell how long the others may take.
const FEWEST_DONE: usize = 3;

/// What has become of them.
#[derive(Debug)]
pub(super) struct Whole {
    total: usize,
    /// How many have come to what.
    ended: BTreeMap<String, usize>,
    begun: Instant,
    said: Option<Instant>,
}

impl Whole {
    pub(super) fn new(total: usize, now: Instant) -> Self {
        Self { total, ended: BTreeMap::new(), begun: now, said: None }
    }

    /// Counts one that has ended; returns how many have, of how many.
    pub(super) fn end(&mut self, outcome: &str) -> (usize, usize) {
        *self.ended.entry(clean(outcome)).or_default() += 1;
        (self.done(), self.total)
    }

    fn done(&self) -> usize {
        self.ended.values().sum()
    }

    /// Returns how many of how many are done, what they came to, since when, and for how long still.
    pub(super) fn line(&self, now: Instant) -> String {
        let (done, elapsed) = (self.done(), now.saturating_duration_since(self.begun));
        let outcomes: Vec<String> = self.ended.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let outcomes = if outcomes.is_empty() { String::new() } else { format!(" ({})", outcomes.join(", ")) };
        let left = self.left(done, elapsed).map(|left| format!(", about {} left", HumanDuration(left)));
        let left = left.unwrap_or_default();
        format!("{done} of {} done{outcomes}, {}{left}", self.total, HumanDuration(elapsed))
    }

    /// Returns how long the others take if they are like those that are done.
    fn left(&self, done: usize, elapsed: Duration) -> Option<Duration> {
        if done < FEWEST_DONE || done >= self.total || elapsed < LINE_EVERY {
            return None;
        }
        let (done, rest) = (u32::try_from(done).ok()?, u32::try_from(self.total - done).ok()?);
        (elapsed / done).checked_mul(rest)
    }

    /// Returns a line for a log, if it is time for one.
    pub(super) fn log(&mut self, now: Instant) -> Option<String> {
        if self.said.is_some_and(|said| now < said + LINE_EVERY) {
            return None;
        }
        self.said = Some(now);
        Some(self.line(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_says_for_how_long_still_once_some_are_done() {
        let begun = Instant::now();
        let mut whole = Whole::new(9, begun);
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(whole.log(begun).as_deref(), Some("0 of 9 done, 0 seconds"));
        whole.end("built");
        assert_eq!(whole.end("hit"), (2, 9));
        assert_eq!(whole.log(at(5)), None, "not so soon");
        assert_eq!(whole.log(at(10)).as_deref(), Some("2 of 9 done (1 built, 1 hit), 10 seconds"));
        whole.end("built");
        assert_eq!(whole.line(at(30)), "3 of 9 done (2 built, 1 hit), 30 seconds, about 60 seconds left");
        (0..6).for_each(|_| _ = whole.end("failed"));
        assert_eq!(whole.line(at(120)), "9 of 9 done (2 built, 6 failed, 1 hit), 2 minutes");
    }
}
