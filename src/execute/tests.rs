//! Real actions in real sandboxes.

mod caching;
mod checkpoint;
mod hogs;
mod image;
mod isolation;
mod limits;
mod outputs;
mod overlay;
mod pinning;
mod platform;
mod requests;
mod unconfined;
mod users;
