//! The progress of one piece of work.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::json;
use super::manner::Manner;
use super::said::warning;
use super::screen::{Row, print_line};
use super::state::{State, held};
use super::ticker::Ticker;
use crate::client::{Event, Events};

/// Time between two looks at what is to be shown on a terminal, and said in a log. What is over before the first takes
/// no time, and is not shown.
pub(super) const SHOW_EVERY: Duration = Duration::from_millis(100);
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Shows progress on stderr.
pub(in crate::cli) struct Display {
    manner: Manner,
    state: Arc<Mutex<State>>,
    /// What shows it. There is none before there is something to show: most answers come at once.
    ticker: Mutex<Option<Ticker>>,
}

impl Display {
    pub(super) fn new(manner: Manner) -> Self {
        Self { manner, state: Arc::default(), ticker: Mutex::default() }
    }

    /// Takes the progress off the terminal.
    pub(in crate::cli) fn clear(&self) {
        drop(held(&self.ticker).take());
    }

    fn show(&self) {
        let state = Arc::clone(&self.state);
        let mut row = None;
        let show = move || {
            let line = held(&state).line(Instant::now());
            if line.is_some() || row.is_some() {
                row.get_or_insert_with(|| Row::new(None)).show(line);
            }
        };
        held(&self.ticker).get_or_insert_with(|| Ticker::start(SHOW_EVERY, show));
    }

    fn log(&self) {
        if let Some(line) = held(&self.state).log(Instant::now()) {
            print_line(&line);
        }
        let state = Arc::clone(&self.state);
        let look = move || {
            let line = held(&state).log(Instant::now());
            line.iter().for_each(|line| print_line(line));
        };
        held(&self.ticker).get_or_insert_with(|| Ticker::start(LOOK_EVERY, look));
    }
}

impl Events for Display {
    fn event(&self, event: Event) {
        match self.manner {
            Manner::Quiet => {}
            Manner::Json => json::tell(&mut held(&self.state).topics, None, event),
            Manner::Terminal | Manner::Lines => match (warning(&event), self.manner) {
                (Some(text), _) => print_line(&format!("warning: {text}")),
                (None, manner) => {
                    held(&self.state).note(event);
                    if manner == Manner::Terminal { self.show() } else { self.log() }
                }
            },
        }
    }
}
