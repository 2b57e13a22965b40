//! Checkpoints: a service that was started and warmed up once, kept so that copies of it start warm.
//!
//! ```text
//! order (order.rs) ─► worker: start, ready, warm up ─► dump ─► restore, ready ─► stop ─► start, ready
//!                                                       │                          │
//!                     what it leaves (outcome.rs)  memory, layer 0            layer 1
//!                                                       └────────► the tree in the CAS (stored.rs)
//! ```
//!
//! The worker is this program itself, run as an action on a host with runc and CRIU. It holds containers, and so is
//! root there; it runs no command outside of them.

mod choice;
mod known;
mod memory;
mod order;
mod outcome;
mod stored;
#[cfg(test)]
pub(crate) mod tests;
mod worker;

pub use choice::{Choice, ChoiceError, choose, next_form};
pub use known::KnownCheckpoints;
pub use memory::MemoryError;
pub use order::{COMMAND, CONFIG, ORDER, Order, ROOT_ARCHIVE, VERB};
pub use outcome::{LAYER_PREFIX, MADE, MEMORY, OUTCOME, Outcome};
pub use stored::Stored;
pub use worker::{Say, WorkerError, make};

pub(crate) use memory::{MAX_MEMORY, each, image_files, unpack};
