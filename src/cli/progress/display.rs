//! The progress of one piece of work.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::manner::Manner;
use super::said::{Said, bytes, said};
use super::topics::Topics;
use super::{clean, json};
use crate::client::{Event, Events};

/// Time between two lines of one topic in a log.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Bytes that move for no longer are not spoken of in a log.
const LINE_AFTER: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// Shows progress on stderr.
pub(in crate::cli) struct Display {
    manner: Manner,
    /// The line that changes. It is not made before there is something to show: most answers come at once.
    bar: OnceLock<ProgressBar>,
    topics: Topics,
}

impl Display {
    pub(super) fn new(manner: Manner) -> Self {
        Self { manner, bar: OnceLock::new(), topics: Topics::default() }
    }

    /// Takes the progress off the terminal.
    pub(in crate::cli) fn clear(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }

    /// Shows a line in place of the one before.
    fn show(&self, line: String) {
        let bar = self.bar.get_or_init(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(line_style());
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(line);
    }

    fn on_terminal(&self, said: Said) {
        match said {
            Said::Warning(text) => match self.bar.get() {
                Some(bar) => bar.suspend(|| warn(&text)),
                None => warn(&text),
            },
            Said::Once(line) => self.show(clean(&line)),
            Said::State { line, more, .. } => self.show(more.map_or(line.clone(), |more| format!("{line} | {more}"))),
            Said::Bytes { topic, what, done, total } => {
                self.show(bytes(&what, done, total, self.topics.elapsed(&topic)));
            }
        }
    }

    fn in_lines(&self, said: Said) {
        match said {
            Said::Warning(text) => warn(&text),
            Said::Once(line) if self.topics.is_due(&line, Duration::ZERO, LINE_EVERY) => print(&clean(&line)),
            // The other phases of a build are short.
            Said::State { topic, line, .. }
                if topic.starts_with("build ") && self.topics.is_due(&topic, Duration::ZERO, LINE_EVERY) =>
            {
                print(&line);
            }
            Said::Bytes { topic, what, done, total } if self.topics.is_due(&topic, LINE_AFTER, LINE_EVERY) => {
                print(&bytes(&what, done, total, self.topics.elapsed(&topic)));
            }
            Said::Once(_) | Said::State { .. } | Said::Bytes { .. } => {}
        }
    }
}

/// Returns the style of a line that changes. It is never wider than the terminal.
pub(super) fn line_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is a constant")
}

/// Prints a line to stderr. Nobody is left to tell when that is closed.
pub(super) fn print(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}

pub(super) fn warn(text: &str) {
    print(&format!("warning: {}", clean(text)));
}

impl Events for Display {
    fn event(&self, event: Event) {
        match self.manner {
            Manner::Quiet => {}
            Manner::Json => json::tell(&self.topics, None, event),
            Manner::Terminal => said(event).into_iter().for_each(|said| self.on_terminal(said)),
            Manner::Lines => said(event).into_iter().for_each(|said| self.in_lines(said)),
        }
    }
}
