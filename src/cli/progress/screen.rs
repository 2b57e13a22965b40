//! stderr, which lines that change and whole lines share.
//!
//! Whatever this process says there goes through here: a whole line that comes while others change stands above them.

use std::io::{self, Write};
use std::sync::OnceLock;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::tcgetwinsize;

/// Rows of a terminal that does not say how many it has.
const ROWS: usize = 24;

/// The lines that change. They are not set up before there is one.
static LINES: OnceLock<MultiProgress> = OnceLock::new();

/// A line that changes, never wider than the terminal; it goes when this is dropped.
pub(super) struct Row {
    bar: ProgressBar,
}

impl Row {
    /// Returns a line above `below`, or below all others.
    pub(super) fn new(below: Option<&Row>) -> Self {
        let lines = LINES.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is a constant");
        let bar = ProgressBar::new_spinner().with_style(style);
        let bar = match below {
            Some(below) => lines.insert_before(&below.bar, bar),
            None => lines.add(bar),
        };
        Self { bar }
    }

    /// Shows this text, which has no control characters, or again what there was.
    pub(super) fn show(&self, text: Option<String>) {
        if let Some(text) = text {
            self.bar.set_message(text);
        }
        self.bar.tick();
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if let Some(lines) = LINES.get() {
            lines.remove(&self.bar);
        }
    }
}

/// Prints text that ends with its line. Nobody is left to tell when stderr is closed.
pub(in crate::cli) fn print(text: &[u8]) {
    let write = || drop(io::stderr().lock().write_all(text));
    match LINES.get() {
        Some(lines) => lines.suspend(write),
        None => write(),
    }
}

/// Prints a line.
pub(super) fn print_line(line: &str) {
    print(format!("{line}\n").as_bytes());
}

/// Returns how many rows the terminal has.
pub(super) fn rows() -> usize {
    let rows = tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_row));
    if rows == 0 { ROWS } else { rows }
}
