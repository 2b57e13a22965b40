//! Checkpoints: warm services, made once, from which copies start.

mod build;
mod build_access;
mod build_failing;
mod build_remote;
mod up;
mod worker;
