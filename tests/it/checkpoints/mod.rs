//! Checkpoints: warm services, made once, from which copies start.

mod build;
mod build_access;
mod build_failing;
mod build_remote;
mod example;
mod fetch;
mod services;
mod up;
mod worker;
