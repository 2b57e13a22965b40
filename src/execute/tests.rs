//! Real actions in real sandboxes.

mod caching;
mod hogs;
mod isolation;
mod limits;
mod outputs;
mod overhead;
mod overlay;
mod platform;
mod requests;
mod unconfined;
