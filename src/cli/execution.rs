//! Arguments about the execution of actions, which `serve` and `execute` share.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::absolute::absolute;
use super::error::CliError;
use crate::execute::{ExecutionOptions, Limits, Sandbox};

#[derive(Debug, Args)]
pub(super) struct ExecutionArguments {
    /// Actions that run at once; 0 for as many as there are cores.
    #[arg(long, default_value_t = 0, value_name = "N")]
    jobs: usize,

    /// Actions that may wait; one more is refused.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    queue: usize,

    /// Longest time-out of an action, and that of actions which name none.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    action_timeout_seconds: u64,

    /// Memory of all processes of one action; 0 for seven eighths of the host's.
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    action_memory_bytes: u64,

    /// Processes and threads of one action.
    #[arg(long, default_value_t = 4096, value_name = "N")]
    action_processes: u64,

    /// Largest file that an action may write.
    #[arg(long, default_value_t = 64 << 30, value_name = "BYTES")]
    action_file_bytes: u64,

    /// Bytes of all output files of one action.
    #[arg(long, default_value_t = 64 << 30, value_name = "BYTES")]
    action_outputs_bytes: u64,

    /// Bytes kept of stdout, and of stderr, of one action.
    #[arg(long, default_value_t = 64 << 20, value_name = "BYTES")]
    action_log_bytes: u64,

    /// Let actions that ask for it use the network of this host.
    #[arg(long)]
    allow_network: bool,

    /// What holds an action. With `none` it can do what this process can.
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Sandbox::Bubblewrap)]
    sandbox: Sandbox,

    /// User and group that actions run as when this process is root; 0 leaves them root, seen from the kernel.
    #[arg(long, default_value_t = 65_534, value_name = "ID")]
    sandbox_user: u32,

    /// First of the 65,536 user and group ids of actions with the property `user-ids` = `range`, when this process is
    /// root. Another user's come from /etc/subuid and /etc/subgid.
    #[arg(long, default_value_t = 1_879_048_192, value_name = "ID", value_parser = clap::value_parser!(u32).range(65_536..=4_294_901_759))]
    first_user: u32,

    /// The program of CRIU that makes checkpoints, if it is not the one in PATH.
    #[arg(long, env = "ENVSERVE_CRIU", value_name = "PATH")]
    criu: Option<OsString>,
}

impl ExecutionArguments {
    pub(super) fn options(&self) -> Result<ExecutionOptions, CliError> {
        let defaults = ExecutionOptions::default();
        let or = |given, default| if given == 0 { default } else { given };
        let criu = self.criu.as_deref().filter(|path| !path.is_empty()).map(Path::new);
        Ok(ExecutionOptions {
            slots: if self.jobs == 0 { defaults.slots } else { self.jobs },
            queue: self.queue,
            max_timeout: Duration::from_secs(self.action_timeout_seconds),
            max_output_bytes: self.action_log_bytes,
            limits: Limits {
                memory_bytes: or(self.action_memory_bytes, defaults.limits.memory_bytes),
                processes: self.action_processes,
                file_bytes: self.action_file_bytes,
                outputs_bytes: self.action_outputs_bytes,
            },
            allow_network: self.allow_network,
            sandbox: self.sandbox,
            sandbox_user: self.sandbox_user,
            first_user: self.first_user,
            criu: criu.map(absolute).transpose()?,
            worker: defaults.worker,
        })
    }
}
