//! The progress of many pieces of work, each of which is told of, and the whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget};

use super::clean;
use super::display::{line_style, print, warn};
use super::json::{self, What};
use super::manner::Manner;
use super::said::{Said, bytes, said};
use super::topics::Topics;
use crate::client::{Event, Events};

/// Time between two lines about the whole in a log.
const LINE_EVERY: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(100);
/// Most items that have a line on a terminal.
const MAX_ROWS: usize = 8;

/// Shows the progress of so many items.
pub(in crate::cli) struct Board {
    shared: Arc<Shared>,
}

struct Shared {
    manner: Manner,
    total: usize,
    /// How many items have come to what.
    ended: Mutex<BTreeMap<String, usize>>,
    begun: Instant,
    rows: AtomicUsize,
    lines: MultiProgress,
    whole: ProgressBar,
    topics: Topics,
}

/// Shows the progress of one of them.
pub(in crate::cli) struct Item {
    name: String,
    shared: Arc<Shared>,
    /// Its line on a terminal, if there is room.
    row: Option<ProgressBar>,
    topics: Topics,
}

impl Board {
    /// Begins to show so many items.
    pub(super) fn new(manner: Manner, total: usize) -> Self {
        let shown = manner == Manner::Terminal;
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let lines = MultiProgress::with_draw_target(target);
        let whole = lines.add(ProgressBar::new_spinner().with_style(line_style()));
        if shown {
            whole.enable_steady_tick(TICK);
        }
        let shared = Shared {
            manner,
            total,
            ended: Mutex::default(),
            begun: Instant::now(),
            rows: AtomicUsize::new(0),
            lines,
            whole,
            topics: Topics::default(),
        };
        shared.show_whole();
        Self { shared: Arc::new(shared) }
    }

    /// Begins an item.
    pub(in crate::cli) fn item(&self, name: &str) -> Item {
        let shared = Arc::clone(&self.shared);
        let row = shared.row();
        Item { name: clean(name), shared, row, topics: Topics::default() }
    }

    /// Takes the progress off the terminal.
    pub(in crate::cli) fn clear(&self) {
        // Nobody is left to tell when stderr is closed.
        drop(self.shared.lines.clear());
    }
}

impl Shared {
    fn row(&self) -> Option<ProgressBar> {
        if self.manner != Manner::Terminal || self.rows.load(Ordering::Relaxed) >= MAX_ROWS {
            return None;
        }
        self.rows.fetch_add(1, Ordering::Relaxed);
        let row = self.lines.insert_before(&self.whole, ProgressBar::new_spinner().with_style(line_style()));
        row.enable_steady_tick(TICK);
        Some(row)
    }

    /// Returns what there is of the whole: how many of how many, and what they came to.
    fn whole(&self) -> String {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let done: usize = ended.values().sum();
        let outcomes: Vec<String> = ended.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let outcomes = if outcomes.is_empty() { String::new() } else { format!(" ({})", outcomes.join(", ")) };
        format!("{done} of {} done{outcomes}, {}", self.total, HumanDuration(self.begun.elapsed()))
    }

    fn show_whole(&self) {
        match self.manner {
            Manner::Terminal => self.whole.set_message(self.whole()),
            Manner::Lines if self.topics.is_due("whole", LINE_EVERY, LINE_EVERY) => print(&self.whole()),
            Manner::Lines | Manner::Json | Manner::Quiet => {}
        }
    }

    /// Counts an item that has ended; returns how many have.
    fn end(&self, outcome: &str) -> usize {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended.entry(outcome.to_owned()).or_default() += 1;
        ended.values().sum()
    }
}

impl Item {
    /// Ends the item; `outcome` is a word for what became of it.
    pub(in crate::cli) fn end(self, outcome: &str) {
        let done = self.shared.end(outcome);
        match self.shared.manner {
            Manner::Quiet | Manner::Terminal => {}
            Manner::Lines => print(&format!("[{done}/{}] {outcome:<6} {}", self.shared.total, self.name)),
            Manner::Json => json::say(Some(&self.name), What::Item { outcome: outcome.to_owned() }),
        }
        self.shared.show_whole();
    }

    fn on_terminal(&self, said: Said) {
        let text = match said {
            Said::Warning(text) => {
                return self.shared.lines.suspend(|| warn(&format!("{}: {text}", self.name)));
            }
            Said::Once(line) => clean(&line),
            Said::State { line, more, .. } => more.map_or(line.clone(), |more| format!("{line} | {more}")),
            Said::Bytes { topic, what, done, total } => bytes(&what, done, total, self.topics.elapsed(&topic)),
        };
        if let Some(row) = &self.row {
            row.set_message(format!("{}: {text}", self.name));
        }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        if let Some(row) = &self.row {
            row.finish_and_clear();
            self.shared.lines.remove(row);
            self.shared.rows.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Events for Item {
    fn event(&self, event: Event) {
        match self.shared.manner {
            Manner::Quiet => {}
            Manner::Json => json::tell(&self.topics, Some(&self.name), event),
            Manner::Terminal => said(event).into_iter().for_each(|said| self.on_terminal(said)),
            Manner::Lines => {
                if let Some(Said::Warning(text)) = said(event) {
                    warn(&format!("{}: {text}", self.name));
                }
            }
        }
        self.shared.show_whole();
    }
}
