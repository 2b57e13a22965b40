//! What is told on stderr while work goes on: to a person at a terminal, as lines for a log, or as JSON for a program.
//!
//! `manner.rs` chooses once for the process. An event of the client becomes a line of JSON at once (`json.rs`), or what
//! the work is at (`state.rs`), which is looked at now and then (`ticker.rs`), said (`said.rs`), and shown for one piece of
//! work (`display.rs`) or for each of many (`board.rs`). All of it reaches stderr by `screen.rs`.

mod board;
mod clean;
mod display;
mod json;
mod log;
mod manner;
mod rate;
mod rows;
mod said;
mod screen;
mod state;
mod ticker;
mod topics;
mod whole;

pub(super) use board::Board;
pub(super) use clean::clean;
pub(super) use display::Display;
pub(super) use json::{EventLine, What, say as say_json};
pub(super) use log::LogWriter;
pub(super) use manner::{Manner, ProgressArguments};
pub(super) use screen::print as print_to_stderr;
