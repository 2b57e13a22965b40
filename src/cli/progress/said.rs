//! What an event of the client says to a person.

use std::time::Duration;

use indicatif::{BinaryBytes, HumanDuration};

use super::clean;
use crate::client::Event;
use crate::spec::{nearest, shown};

/// Most characters of a line of output that are looked at.
const MAX_CHARACTERS: usize = 1000;

/// What is said. It has no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Something that happens once.
    Once(String),
    /// A state: a line, and what a log does not need of it.
    State { topic: String, line: String, more: Option<String> },
    /// Bytes that move.
    Bytes { topic: String, what: String, from: Option<String>, done: u64, total: Option<u64> },
}

/// Returns what an event says, if it says anything that the next may replace.
pub(super) fn said(event: &Event) -> Option<Said> {
    Some(match event {
        Event::UnknownVariable { .. } | Event::Answer { .. } => return None,
        Event::Root { repository } => once(&format!("fetching the sources of `{repository}`")),
        Event::FetchedByServer { repository, serve } => {
            once(&format!("`{serve}` has fetched the sources of `{repository}`"))
        }
        Event::Fetch { file, address, done, total } => {
            let from = Some(clean(address));
            Said::Bytes {
                topic: clean(file),
                what: clean(&format!("fetching `{file}`")),
                from,
                done: *done,
                total: *total,
            }
        }
        Event::Upload { repository, done, total } => {
            let what = clean(&format!("sending the sources of `{repository}`"));
            Said::Bytes { topic: what.clone(), what, from: None, done: *done, total: *total }
        }
        Event::Build { phase, environment, actions_done, actions_total, log } => Said::State {
            line: clean(&format!("{phase} {environment}: {actions_done} of {actions_total} actions done")),
            topic: clean(&format!("{phase} {environment}")),
            more: log.last().map(|line| last_part(line)),
        },
        Event::Download { done, total } => {
            let (topic, what) = ("download".to_owned(), "fetching".to_owned());
            Said::Bytes { topic, what, from: None, done: *done, total: Some(*total) }
        }
        Event::Detour { cas, serve, reason } => {
            once(&format!("cannot fetch from `{cas}` itself ({reason}): blobs come through `{serve}`"))
        }
        Event::Waiting { reason } => once(&format!("waiting: {reason}")),
        Event::Local { reason } => once(&format!("building on this host: {reason}")),
        Event::Lost { first, count } => {
            let others = if *count > 1 { format!(" and {} other blobs", count - 1) } else { String::new() };
            once(&format!("blob `{first}`{others} of the answer not found in the CAS: asking again"))
        }
    })
}

/// Returns what an event warns of, which nothing is to replace.
pub(super) fn warning(event: &Event) -> Option<String> {
    let Event::UnknownVariable { name, environment, known } = event else { return None };
    Some(clean(&unknown_variable(name, environment, known)))
}

fn once(line: &str) -> Said {
    Said::Once(clean(line))
}

/// Returns what a line of output shows at last: programs that count write one over the other.
fn last_part(line: &str) -> String {
    let part = line.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or_default();
    clean(&part.chars().take(MAX_CHARACTERS).collect::<String>())
}

/// Returns how far bytes have come: how many, how fast, and for how long still.
pub(super) fn bytes(what: &str, done: u64, total: Option<u64>, rate: Option<f64>) -> String {
    let mut line = what.to_owned();
    match total {
        Some(total) => line.push_str(&format!(": {} of {}", BinaryBytes(done), BinaryBytes(total))),
        None if done > 0 => line.push_str(&format!(": {}", BinaryBytes(done))),
        None => return line,
    }
    let Some(rate) = rate else { return line };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is neither negative nor that large"
    )]
    line.push_str(&format!(", {}/s", BinaryBytes(rate as u64)));
    if let Some(left) = total.map(|total| total.saturating_sub(done)).filter(|left| *left > 0 && rate >= 1.0) {
        #[expect(clippy::cast_precision_loss, reason = "it is shown in whole seconds")]
        let left = Duration::from_secs_f64((left as f64 / rate).min(1e9));
        line.push_str(&format!(", {} left", HumanDuration(left)));
    }
    line
}

/// Says which variables there are in place of one that there is not.
fn unknown_variable(name: &str, environment: &str, known: &[String]) -> String {
    let said = format!("environment `{environment}` has no variable `{}`, so it changes nothing", shown(name));
    if known.is_empty() {
        return format!("{said}: there is none that it has");
    }
    let meant = nearest(name, known.iter().map(String::as_str));
    let meant = meant.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    format!("{said}; {meant}it has `{}`", known.join("`, `"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_rate_and_an_end_once_there_is_something_to_tell_them_from() {
        let said = |done, total, rate| bytes("fetching", done, total, rate);
        let rate = Some(f64::from(2 << 20));
        assert_eq!(said(0, Some(10 << 20), None), "fetching: 0 B of 10.00 MiB");
        assert_eq!(said(4 << 20, Some(10 << 20), rate), "fetching: 4.00 MiB of 10.00 MiB, 2.00 MiB/s, 3 seconds left");
        assert_eq!(said(4 << 20, Some(10 << 20), Some(0.0)), "fetching: 4.00 MiB of 10.00 MiB, 0 B/s");
        assert_eq!(said(10 << 20, Some(10 << 20), rate), "fetching: 10.00 MiB of 10.00 MiB, 2.00 MiB/s");
        assert_eq!(said(4 << 20, None, rate), "fetching: 4.00 MiB, 2.00 MiB/s");
        assert_eq!(said(0, None, rate), "fetching");
        assert!(said(1, Some(u64::MAX), Some(1.5)).contains("left"));
    }

    #[test]
    fn of_a_line_that_was_written_over_the_last_is_shown() {
        for (line, expected) in [("1%\r50%\r100%", "100%"), ("50%\r\r", "50%"), ("\u{1b}[31m a", " a"), ("\r", "")] {
            assert_eq!(last_part(line), expected, "{line:?}");
        }
        assert_eq!(last_part(&"é".repeat(5000)).chars().count(), MAX_CHARACTERS);
    }
}
