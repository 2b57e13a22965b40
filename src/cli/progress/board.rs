//! The progress of many pieces of work, each of which is told of, and the whole.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::clean;
use super::display::{LOOK_EVERY, SHOW_EVERY};
use super::json::{self, What};
use super::manner::Manner;
use super::rows::Rows;
use super::said::warning;
use super::screen::print_line;
use super::state::{State, held};
use super::ticker::Ticker;
use super::whole::Whole;
use crate::client::{Event, Events};

/// Shows the progress of so many items.
pub(in crate::cli) struct Board {
    shared: Arc<Shared>,
    /// What shows it.
    ticker: Mutex<Option<Ticker>>,
}

/// Shows the progress of one of them.
pub(in crate::cli) struct Item {
    running: Arc<Running>,
    shared: Arc<Shared>,
}

/// What items and board know of each other.
struct Shared {
    manner: Manner,
    whole: Mutex<Whole>,
    /// The items that run, the oldest first.
    running: Mutex<Vec<Arc<Running>>>,
}

/// An item that runs.
pub(super) struct Running {
    name: String,
    state: Mutex<State>,
}

impl Board {
    /// Begins to show so many items.
    pub(super) fn new(manner: Manner, total: usize) -> Self {
        let whole = Mutex::new(Whole::new(total, Instant::now()));
        let shared = Arc::new(Shared { manner, whole, running: Mutex::default() });
        let ticker = match manner {
            Manner::Terminal => {
                let (shared, mut rows) = (Arc::clone(&shared), Rows::default());
                Some(Ticker::start(SHOW_EVERY, move || shared.show(&mut rows)))
            }
            Manner::Lines => {
                let shared = Arc::clone(&shared);
                shared.log();
                Some(Ticker::start(LOOK_EVERY, move || shared.log()))
            }
            Manner::Json | Manner::Quiet => None,
        };
        Self { shared, ticker: Mutex::new(ticker) }
    }

    /// Begins an item.
    pub(in crate::cli) fn item(&self, name: &str) -> Item {
        let shared = Arc::clone(&self.shared);
        let running = Arc::new(Running { name: clean(name), state: Mutex::default() });
        held(&shared.running).push(Arc::clone(&running));
        Item { running, shared }
    }

    /// Takes the progress off the terminal.
    pub(in crate::cli) fn clear(&self) {
        drop(held(&self.ticker).take());
    }
}

impl Shared {
    fn show(&self, rows: &mut Rows) {
        let running = held(&self.running).clone();
        rows.show(running.iter().map(|item| item.line()), held(&self.whole).line(Instant::now()));
    }

    fn log(&self) {
        let line = held(&self.whole).log(Instant::now());
        line.iter().for_each(|line| print_line(line));
    }
}

impl Running {
    /// Returns its line on a terminal.
    fn line(&self) -> String {
        match held(&self.state).line(Instant::now()) {
            Some(line) => format!("{}: {line}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Item {
    /// Ends the item; `outcome` is a word for what became of it.
    pub(in crate::cli) fn end(self, outcome: &str) {
        let name = &self.running.name;
        let (done, total) = held(&self.shared.whole).end(outcome);
        match self.shared.manner {
            Manner::Quiet | Manner::Terminal => {}
            Manner::Lines => print_line(&format!("[{done}/{total}] {outcome:<6} {name}")),
            Manner::Json => json::say(Some(name), What::Item { outcome: outcome.to_owned(), done, total }),
        }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        held(&self.shared.running).retain(|running| !Arc::ptr_eq(running, &self.running));
    }
}

impl Events for Item {
    fn event(&self, event: Event) {
        let Running { name, state } = &*self.running;
        match self.shared.manner {
            Manner::Quiet => {}
            Manner::Json => json::tell(&mut held(state).topics, Some(name), event),
            Manner::Terminal | Manner::Lines => match warning(&event) {
                Some(text) => print_line(&format!("warning: {name}: {text}")),
                None => held(state).note(event),
            },
        }
    }
}
