//! What is told on stderr while work goes on: to a person at a terminal, as lines for a log, or as JSON for a program.
//!
//! `manner.rs` chooses once for the process. An event of the client becomes what it says (`said.rs`), which is shown for
//! one piece of work (`display.rs`) or for each of many (`board.rs`); or it becomes a line of JSON (`json.rs`).

mod board;
mod clean;
mod display;
mod json;
mod manner;
mod said;
mod topics;

pub(super) use board::Board;
pub(super) use clean::clean;
pub(super) use display::Display;
pub(super) use json::{EventLine, What, say as say_json};
pub(super) use manner::{Manner, ProgressArguments};
