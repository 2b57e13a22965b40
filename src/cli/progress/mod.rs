//! What is told on stderr while work goes on.

mod board;
mod display;

pub(super) use board::{Board, Item};
pub(super) use display::Display;
