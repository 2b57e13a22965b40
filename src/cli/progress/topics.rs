//! When it is time to speak of something again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::rate::Rate;

/// Most topics that are remembered.
const MAX_TOPICS: usize = 10_000;

/// What was spoken of, and when.
#[derive(Debug, Default)]
pub(super) struct Topics {
    known: HashMap<String, Topic>,
}

#[derive(Debug)]
struct Topic {
    begun: Instant,
    said: Option<Instant>,
    rate: Rate,
}

impl Topics {
    /// Returns the time since a topic was first met, which it is now if it was not before.
    pub(super) fn elapsed(&mut self, topic: &str, now: Instant) -> Duration {
        now.saturating_duration_since(self.topic(topic, now).begun)
    }

    /// Notes how far the bytes of a topic have come; returns how many move in a second, if that can be told.
    pub(super) fn rate(&mut self, topic: &str, done: u64, now: Instant) -> Option<f64> {
        self.topic(topic, now).rate.note(now, done)
    }

    /// Says whether it is time to speak of a topic: first after `first`, then not more often than `every`.
    pub(super) fn is_due(&mut self, topic: &str, first: Duration, every: Duration, now: Instant) -> bool {
        let topic = self.topic(topic, now);
        let is_due = topic.said.map_or(topic.begun + first, |said| said + every) <= now;
        if is_due {
            topic.said = Some(now);
        }
        is_due
    }

    fn topic(&mut self, name: &str, now: Instant) -> &mut Topic {
        if !self.known.contains_key(name) {
            if self.known.len() >= MAX_TOPICS {
                self.known.clear();
            }
            self.known.insert(name.to_owned(), Topic { begun: now, said: None, rate: Rate::default() });
        }
        self.known.get_mut(name).expect("it was put there")
    }
}
