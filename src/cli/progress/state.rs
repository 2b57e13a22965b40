//! What one piece of work is at, as a line that changes or as lines of a log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::HumanDuration;

use super::said::{Said, bytes, said};
use super::topics::Topics;
use crate::client::Event;

/// Time between two lines of one topic in a log; what takes as long is told with the time that it takes.
pub(super) const LINE_EVERY: Duration = Duration::from_secs(10);
/// Bytes that arrive for no longer are not spoken of in a log.
const LINE_AFTER: Duration = Duration::from_secs(1);

/// The last event, and what was spoken of before.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) topics: Topics,
    current: Option<Event>,
}

impl State {
    /// Takes note of an event.
    pub(super) fn note(&mut self, event: Event) {
        self.current = Some(event);
    }

    /// Returns the line that a terminal shows; `None` when it stays as it is.
    pub(super) fn line(&mut self, now: Instant) -> Option<String> {
        Some(match said(self.current.as_ref()?)? {
            Said::Once(line) => line,
            Said::State { topic, line, more } => {
                let line = line + &self.so_long(&topic, now);
                more.map_or(line.clone(), |more| format!("{line} | {more}"))
            }
            Said::Bytes { topic, what, from, done, total } => self.bytes(&topic, &what, from, (done, total), now),
        })
    }

    /// Returns a line for a log, if it is time for one.
    pub(super) fn log(&mut self, now: Instant) -> Option<String> {
        let event = self.current.as_ref()?;
        let is_sent = matches!(event, Event::Upload { .. });
        let (topic, first, line) = match said(event)? {
            Said::Once(line) => (line.clone(), Duration::ZERO, line.clone() + &self.so_long(&line, now)),
            Said::State { topic, line, .. } => {
                // The other phases of a build are short.
                let first = if topic.starts_with("build ") { Duration::ZERO } else { LINE_EVERY };
                let line = line + &self.so_long(&topic, now);
                (topic, first, line)
            }
            Said::Bytes { topic, what, from, done, total } => {
                let line = self.bytes(&topic, &what, from, (done, total), now);
                if total.is_some_and(|total| done >= total) {
                    return None;
                }
                (topic, if is_sent { Duration::ZERO } else { LINE_AFTER }, line)
            }
        };
        self.topics.is_due(&topic, first, LINE_EVERY, now).then_some(line)
    }

    fn bytes(
        &mut self,
        topic: &str,
        what: &str,
        from: Option<String>,
        (done, total): (u64, Option<u64>),
        now: Instant,
    ) -> String {
        let line = bytes(what, done, total, self.topics.rate(topic, done, now));
        // How far it is must be seen on a narrow terminal too.
        from.map_or(line.clone(), |from| format!("{line}, from `{from}`"))
    }

    /// Says for how long a topic has been one, if that is long.
    fn so_long(&mut self, topic: &str, now: Instant) -> String {
        let elapsed = self.topics.elapsed(topic, now);
        if elapsed < LINE_EVERY { String::new() } else { format!(", for {}", HumanDuration(elapsed)) }
    }
}

/// Returns what a lock holds, whatever became of those who held it.
pub(super) fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(phase: &str, log: &[&str]) -> Event {
        Event::Build {
            phase: phase.to_owned(),
            environment: "e".to_owned(),
            actions_done: 0,
            actions_total: 2,
            log: log.iter().map(ToString::to_string).collect(),
        }
    }

    /// Tells of events at their times, in seconds, and returns the lines of a log that looks at it every second.
    fn log(events: Vec<(u64, Event)>, until: u64) -> Vec<(u64, String)> {
        let (mut state, begun, mut lines) = (State::default(), Instant::now(), Vec::new());
        let mut events = events.into_iter().peekable();
        for second in 0..=until {
            let now = begun + Duration::from_secs(second);
            while let Some((_, event)) = events.next_if(|(at, _)| *at == second) {
                state.note(event);
                lines.extend(state.log(now).map(|line| (second, line)));
            }
            lines.extend(state.log(now).map(|line| (second, line)));
        }
        lines
    }

    #[test]
    fn a_build_that_is_silent_is_spoken_of_each_ten_seconds() {
        let told = log(vec![(0, build("plan", &[])), (1, build("build", &["x"])), (3, build("build", &["y"]))], 25);
        let line = |second, more: &str| (second, format!("build e: 0 of 2 actions done{more}"));
        assert_eq!(told, [line(1, ""), line(11, ", for 10 seconds"), line(21, ", for 20 seconds")]);
    }

    #[test]
    fn a_phase_that_lasts_is_spoken_of_once_it_does() {
        let told = log(vec![(0, build("queue", &[])), (25, Event::Answer { hit: false })], 60);
        let line = |second| (second, format!("queue e: 0 of 2 actions done, for {second} seconds"));
        assert_eq!(told, [line(10), line(20)], "and not any more when it is over");
    }

    #[test]
    fn bytes_that_take_a_moment_are_spoken_of_and_what_has_arrived_is_not() {
        let download = |done| Event::Download { done, total: 40 << 20 };
        assert_eq!(log(vec![(0, download(1 << 20)), (0, download(40 << 20))], 30), []);
        let events = (0..=20).map(|second| (second, download((second * 2) << 20))).collect();
        let line = |second, done, left| {
            (second, format!("fetching: {done}.00 MiB of 40.00 MiB, 2.00 MiB/s, {left} seconds left"))
        };
        assert_eq!(log(events, 60), [line(1, 2, 19), line(11, 22, 9)]);
    }

    #[test]
    fn bytes_that_stand_still_are_spoken_of_too() {
        let fetch = |done| Event::Fetch { file: "f".into(), address: "https://h/f".into(), done, total: Some(4 << 20) };
        let told = log(vec![(0, fetch(0)), (1, fetch(1 << 20))], 22);
        let line = |second, rest: &str| (second, format!("fetching `f`: {rest}, from `https://h/f`"));
        let still = "1.00 MiB of 4.00 MiB, 0 B/s";
        let moving = "1.00 MiB of 4.00 MiB, 1.00 MiB/s, 3 seconds left";
        assert_eq!(told, [line(1, moving), line(11, still), line(21, still)]);
    }

    #[test]
    fn a_terminal_sees_the_last_line_of_the_output() {
        let (mut state, begun) = (State::default(), Instant::now());
        assert_eq!(state.line(begun), None);
        state.note(build("build", &["one", "two\u{1b}[2J"]));
        assert_eq!(state.line(begun).as_deref(), Some("build e: 0 of 2 actions done | two"));
        let later = state.line(begun + Duration::from_secs(70));
        assert_eq!(later.as_deref(), Some("build e: 0 of 2 actions done, for 70 seconds | two"));
    }
}
