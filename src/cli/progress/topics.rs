//! When it is time to speak of something again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most topics that are remembered.
const MAX_TOPICS: usize = 10_000;

/// What was spoken of, and when.
#[derive(Default)]
pub(super) struct Topics {
    known: Mutex<HashMap<String, Topic>>,
}

struct Topic {
    begun: Instant,
    said: Option<Instant>,
}

impl Topics {
    /// Returns the time since a topic was first met, which it is now if it was not before.
    pub(super) fn elapsed(&self, topic: &str) -> Duration {
        self.topic(topic, |topic| topic.begun.elapsed())
    }

    /// Says whether it is time to speak of a topic: first after `first`, then not more often than `every`.
    pub(super) fn is_due(&self, topic: &str, first: Duration, every: Duration) -> bool {
        self.topic(topic, |topic| {
            let now = Instant::now();
            let due = topic.said.map_or(topic.begun + first, |said| said + every);
            let is_due = due <= now;
            if is_due {
                topic.said = Some(now);
            }
            is_due
        })
    }

    fn topic<T>(&self, name: &str, look: impl FnOnce(&mut Topic) -> T) -> T {
        let mut known = self.lock();
        if known.len() >= MAX_TOPICS && !known.contains_key(name) {
            known.clear();
        }
        look(known.entry(name.to_owned()).or_insert_with(|| Topic { begun: Instant::now(), said: None }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Topic>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
