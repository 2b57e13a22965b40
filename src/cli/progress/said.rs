//! What an event of the client says to a person.

use std::time::Duration;

use indicatif::{BinaryBytes, HumanDuration};

use super::clean;
use crate::client::Event;
use crate::spec::{nearest, shown};

/// After so long a rate says something.
const RATED: Duration = Duration::from_millis(500);

/// What is said, and how often that is worth it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Something that is not to be replaced by what comes after.
    Warning(String),
    /// Something that happens once.
    Once(String),
    /// A state: a line, and what a log does not need of it.
    State { topic: String, line: String, more: Option<String> },
    /// Bytes that move.
    Bytes { topic: String, what: String, done: u64, total: Option<u64> },
}

/// Returns what an event says, if it says anything.
pub(super) fn said(event: Event) -> Option<Said> {
    Some(match event {
        Event::UnknownVariable { name, environment, known } => {
            Said::Warning(unknown_variable(&name, &environment, &known))
        }
        Event::Root { repository } => Said::Once(format!("fetching the sources of `{repository}`")),
        Event::FetchedByServer { repository, serve } => {
            Said::Once(format!("`{serve}` has fetched the sources of `{repository}`"))
        }
        Event::Fetch { file, address, done, total } => {
            let what = clean(&format!("fetching `{file}` from `{address}`"));
            Said::Bytes { topic: format!("fetch {file}"), what, done, total }
        }
        Event::Upload { repository } => Said::Once(format!("sending the sources of `{repository}`")),
        Event::Build { phase, environment, actions_done, actions_total, log } => Said::State {
            line: clean(&format!("{phase} {environment}: {actions_done} of {actions_total} actions done")),
            topic: format!("{phase} {environment}"),
            more: log.last().map(|line| clean(line)),
        },
        Event::Answer { .. } => return None,
        Event::Download { done, total } => {
            Said::Bytes { topic: "download".to_owned(), what: "fetching".to_owned(), done, total: Some(total) }
        }
        Event::Detour { cas, serve, reason } => {
            Said::Once(format!("cannot fetch from `{cas}` itself ({reason}): blobs come through `{serve}`"))
        }
        Event::Waiting { reason } => Said::Once(format!("waiting: {reason}")),
        Event::Local { reason } => Said::Once(format!("building on this host: {reason}")),
        Event::Lost { first, count } => {
            let others = if count > 1 { format!(" and {} other blobs", count - 1) } else { String::new() };
            Said::Once(format!("blob `{first}`{others} of the answer not found in the CAS: asking again"))
        }
    })
}

/// Returns how far bytes have come: how many, how fast, and for how long still.
pub(super) fn bytes(what: &str, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let mut line = format!("{what}: {}", BinaryBytes(done));
    if let Some(total) = total {
        line.push_str(&format!(" of {}", BinaryBytes(total)));
    }
    if elapsed < RATED || done == 0 {
        return line;
    }
    #[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
    let rate = done as f64 / elapsed.as_secs_f64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is neither negative nor that large"
    )]
    line.push_str(&format!(", {}/s", BinaryBytes(rate as u64)));
    if let Some(left) = total.map(|total| total.saturating_sub(done)).filter(|left| *left > 0) {
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
        let said = |done, total, seconds| bytes("fetching", done, total, Duration::from_secs(seconds));
        assert_eq!(said(0, Some(10 << 20), 0), "fetching: 0 B of 10.00 MiB");
        assert_eq!(said(4 << 20, Some(10 << 20), 2), "fetching: 4.00 MiB of 10.00 MiB, 2.00 MiB/s, 3 seconds left");
        assert_eq!(said(10 << 20, Some(10 << 20), 5), "fetching: 10.00 MiB of 10.00 MiB, 2.00 MiB/s");
        assert_eq!(said(4 << 20, None, 2), "fetching: 4.00 MiB, 2.00 MiB/s");
        assert!(said(1, Some(u64::MAX), 1_000_000).contains("left"));
    }
}
