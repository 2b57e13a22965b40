//! Pauses between attempts: twice as long each time, and never twice the same.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// Pauses that grow from `first` to `longest`.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// Returns the next pause: between half of its nominal length and the whole ("equal jitter"), so that clients
    /// which failed together do not come back together.
    pub(crate) fn pause(&mut self) -> Duration {
        let nominal = self.next;
        self.next = (nominal * 2).min(self.longest);
        nominal / 2 + (nominal / 2).mul_f64(random())
    }
}

/// Returns a number from 0 up to 1. The standard library seeds its hash maps at random; nothing better is needed here.
fn random() -> f64 {
    let bits = u32::try_from(RandomState::new().hash_one(0) >> 32).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_differ() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_millis(400));
        let mut backoff = Backoff::new(first, longest);
        for nominal in [100, 200, 400, 400, 400] {
            let (pause, nominal) = (backoff.pause(), Duration::from_millis(nominal));
            assert!(pause >= nominal / 2 && pause <= nominal, "{pause:?} of {nominal:?}");
        }
        let many: std::collections::HashSet<Duration> = (0..8).map(|_| backoff.pause()).collect();
        assert!(many.len() > 1);
    }
}
