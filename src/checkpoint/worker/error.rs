//! Why a worker makes no checkpoint.

use std::io;
use std::path::{Path, PathBuf};

use crate::container::ContainerError;
use crate::host::FingerprintError;

/// Why a worker makes no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// This process may not do it.
    #[error("this worker cannot make checkpoints: only root can, in the first namespace of users")]
    NotRoot,
    /// This host lacks something.
    #[error("this worker cannot make checkpoints")]
    Host(#[source] FingerprintError),
    /// There is no directory to work in.
    #[error("this worker cannot make checkpoints: no file system here takes id-mapped mounts and overlays: {reason}")]
    Place {
        /// What was tried, and what came of it.
        reason: String,
    },
    /// What it is told is not of the form.
    #[error("cannot use `{file}`, which the action brings: {reason}")]
    Order {
        /// Which file.
        file: &'static str,
        /// Why not.
        reason: String,
    },
    /// The service does not get warm.
    #[error("{trouble}")]
    Service {
        /// What happened.
        trouble: Trouble,
        /// The end of what the service, and a command beside it, have said.
        log: String,
    },
    /// A program of the system failed.
    #[error("cannot {action}: `tar` ended with exit code {code}: {said}")]
    Tar {
        /// What was attempted.
        action: &'static str,
        /// Its exit code, or 128 and the number of a signal.
        code: u8,
        /// The beginning of what it says.
        said: String,
    },
    /// There can be no container.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// What keeps a service from getting warm.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It takes too long.
    #[error("the service was not ready within {seconds} s")]
    NotReady {
        /// Seconds that it had.
        seconds: u64,
    },
    /// Its warm-up takes too long.
    #[error("the service was ready, but the warm-up command `{command}` had not ended {seconds} s after the start")]
    Slow {
        /// The command.
        command: String,
        /// Seconds that there were for all.
        seconds: u64,
    },
    /// It ended.
    #[error("the service ended with exit code {code} before it was warm")]
    Ended {
        /// Its exit code, or 128 and the number of a signal.
        code: u8,
    },
    /// There is no such command.
    #[error("the command of the service could not be started")]
    NotStarted,
    /// A command of the warm-up failed.
    #[error("the warm-up command `{command}` ended with exit code {code}")]
    Warmup {
        /// The command.
        command: String,
        /// Its exit code, or 128 and the number of a signal.
        code: u8,
    },
    /// Its memory was not restored.
    #[error("{reason}")]
    NotRestored {
        /// What CRIU or runc says.
        reason: String,
    },
}

impl WorkerError {
    /// Returns a closure that turns a system error into `Io`, for `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Says whether another host could do it.
    pub fn is_of_host(&self) -> bool {
        match self {
            Self::NotRoot | Self::Host(_) | Self::Place { .. } => true,
            Self::Container(error) => error.is_of_host(),
            Self::Order { .. } | Self::Service { .. } | Self::Tar { .. } | Self::Io { .. } => false,
        }
    }

    /// Returns what can be done about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.hint().map(str::to_owned),
            Self::NotRoot => Some("run the worker as root".to_owned()),
            Self::Place { .. } => {
                Some("keep the worker's directories, or /var/tmp, on ext4, xfs, btrfs or tmpfs".to_owned())
            }
            Self::Service { trouble: Trouble::NotReady { .. } | Trouble::Slow { .. }, .. } => {
                Some("give it more time by `timeout` of the environment".to_owned())
            }
            Self::Container(error) => error.hint(),
            Self::Order { .. } | Self::Service { .. } | Self::Tar { .. } | Self::Io { .. } => None,
        }
    }

    /// Returns the end of what the service has said.
    pub fn log(&self) -> Option<&str> {
        match self {
            Self::Service { log, .. } if !log.is_empty() => Some(log),
            _ => None,
        }
    }
}
