//! Real actions in real sandboxes.

mod caching;
mod isolation;
mod limits;
mod outputs;
mod requests;
