//! Why a command cannot be run in an image.

use std::io;
use std::path::PathBuf;

use crate::client::image::ImageError;

/// Why a command cannot be run in an image.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
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
    /// The image cannot be read.
    #[error("the image cannot be used")]
    Image(#[source] ImageError),
    /// There is nothing to run.
    #[error("no command is given, and the image names none")]
    NoCommand,
}

impl RunError {
    /// Says whether another host could do it.
    pub fn is_of_host(&self) -> bool {
        match self {
            Self::Platform { .. } | Self::Namespaces { .. } | Self::IdMapped { .. } | Self::Overlay { .. } => true,
            Self::User { .. } | Self::Image(_) | Self::NoCommand => false,
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
            Self::Platform { .. } | Self::User { .. } | Self::Image(_) => None,
        }
    }
}
