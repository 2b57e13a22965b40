//! The bounds of an executor, and what an operator allows its actions.

use std::path::PathBuf;
use std::time::Duration;

use super::limits::Limits;
use crate::host::{FIRST_ID, NOBODY};

/// What holds an action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sandbox {
    /// Namespaces of its own, made by bubblewrap.
    #[default]
    Bubblewrap,
    /// Nothing: it runs on the host, with the rights of the executor.
    None,
}

/// How an executor runs actions.
#[derive(Debug, Clone)]
pub struct ExecutionOptions {
    /// Actions that run at once.
    pub slots: usize,
    /// Actions that may wait for a slot.
    pub queue: usize,
    /// Longest time-out that an action may ask for, and the one of those that ask for none.
    pub max_timeout: Duration,
    /// Most bytes kept of stdout, and of stderr.
    pub max_output_bytes: u64,
    /// What one action may use.
    pub limits: Limits,
    /// Whether an action gets the network of the host when it asks for it.
    pub allow_network: bool,
    /// What holds an action.
    pub sandbox: Sandbox,
    /// User and group that actions run as, to the kernel, when the executor is root.
    pub sandbox_user: u32,
    /// The first of the 65,536 user and group ids, to the kernel, of actions that ask for a range of users, when the
    /// executor is root. Nothing else may use them.
    pub first_user: u32,
    /// CRIU, if it is not to be looked for in `PATH`.
    pub criu: Option<PathBuf>,
    /// What this executor is called in results.
    pub worker: String,
}

impl Default for ExecutionOptions {
    fn default() -> Self {
        Self {
            slots: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            queue: 1000,
            max_timeout: Duration::from_secs(3600),
            max_output_bytes: 64 << 20,
            limits: Limits::default(),
            allow_network: false,
            sandbox: Sandbox::Bubblewrap,
            sandbox_user: NOBODY,
            first_user: FIRST_ID,
            criu: None,
            worker: "envserve".to_owned(),
        }
    }
}
