//! The progress of many pieces of work, each of which is told of, and the whole.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::client::{Event, Events};

/// Shows the progress of so many items.
pub(in crate::cli) struct Board {
    total: usize,
    done: Arc<AtomicUsize>,
}

/// Shows the progress of one of them.
pub(in crate::cli) struct Item {
    name: String,
    total: usize,
    done: Arc<AtomicUsize>,
}

impl Board {
    /// Begins to show so many items.
    pub(in crate::cli) fn new(total: usize) -> Self {
        Self { total, done: Arc::default() }
    }

    /// Begins an item.
    pub(in crate::cli) fn item(&self, name: &str) -> Item {
        Item { name: name.to_owned(), total: self.total, done: Arc::clone(&self.done) }
    }

    /// Takes the progress off the terminal.
    pub(in crate::cli) fn clear(&self) {}
}

impl Item {
    /// Ends the item; `outcome` is a word for what became of it.
    pub(in crate::cli) fn end(self, outcome: &str) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        // Nobody is left to tell when stderr is closed.
        drop(writeln!(io::stderr(), "[{done}/{}] {outcome} {}", self.total, self.name));
    }
}

impl Events for Item {
    fn event(&self, _event: Event) {}
}
