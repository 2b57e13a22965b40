//! Why there can be no container.

use std::io;
use std::path::{Path, PathBuf};

/// Why there can be no container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The image is for another kind of host.
    #[error("the image is for `{image}`, and this host is `{host}`")]
    Platform {
        /// For what it is.
        image: String,
        /// What this is.
        host: String,
    },
    /// This host lets nobody make namespaces.
    #[error("this host lets no {what} be made")]
    Namespaces {
        /// Which.
        what: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// This host cannot show files as those of other users.
    #[error(
        "files in `{path}` cannot be shown as those of other users: this kernel or file system has no id-mapped mounts"
    )]
    IdMapped {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// This host cannot lay a directory over another one.
    #[error("cannot lay `{upper}` over the image: this kernel or file system has no such overlays")]
    Overlay {
        /// The directory that would be laid over it.
        upper: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The image does not have the user that it names.
    #[error("the image runs programs as `{user}`, and its {file} does not have that")]
    User {
        /// The user, and group.
        user: String,
        /// Where it was looked for.
        file: &'static str,
    },
    /// There is nothing to run.
    #[error("no command is given, and the image names none")]
    NoCommand,
    /// A program is not installed that is needed.
    #[error("cannot run a command in an image: `{program}` is not installed")]
    Lacks {
        /// The program.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// runc has not started the command.
    #[error("the command could not be started: runc ended with exit code {code}")]
    NotStarted {
        /// Its exit code, or 128 and the number of a signal.
        code: u8,
    },
    /// The processes could not be written to disk.
    #[error("the memory of the container cannot be written to disk: {reason}")]
    NotDumped {
        /// What CRIU or runc says.
        reason: String,
    },
    /// The processes could not be woken up.
    #[error("the memory of the container cannot be woken up: {reason}")]
    NotRestored {
        /// What CRIU or runc says.
        reason: String,
    },
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

impl ContainerError {
    /// Returns a closure that turns a system error into `Io`, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Says whether another host could do it.
    pub fn is_of_host(&self) -> bool {
        match self {
            Self::Platform { .. }
            | Self::Namespaces { .. }
            | Self::IdMapped { .. }
            | Self::Overlay { .. }
            | Self::Lacks { .. } => true,
            Self::User { .. }
            | Self::NoCommand
            | Self::NotStarted { .. }
            | Self::NotDumped { .. }
            | Self::NotRestored { .. }
            | Self::Io { .. } => false,
        }
    }

    /// Returns what the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Namespaces { .. } => Some("namespaces of users have to be allowed: sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns".to_owned()),
            Self::IdMapped { .. } | Self::Overlay { .. } => {
                Some("keep the client's root (`--root`) on ext4, xfs, btrfs or tmpfs".to_owned())
            }
            Self::NoCommand => Some("give one after `--`".to_owned()),
            Self::Lacks { package, .. } => Some(format!("install the package `{package}`")),
            Self::Platform { .. }
            | Self::User { .. }
            | Self::NotStarted { .. }
            | Self::NotDumped { .. }
            | Self::NotRestored { .. }
            | Self::Io { .. } => None,
        }
    }
}
