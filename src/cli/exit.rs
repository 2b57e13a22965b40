//! Exit codes, in one place.

use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or a hit.
    Done,
    /// Something went wrong that has no code of its own.
    Error,
    /// The command line is wrong.
    Usage,
    /// A probe found that the environment would have to be built.
    Miss,
    /// The server, or the endpoint, cannot be reached.
    Unavailable,
    /// Blobs of the answer were lost again and again.
    Lost,
    /// The spec is not fixed in content.
    NotContentFixed,
    /// The server does not allow it.
    Denied,
    /// This host cannot do it.
    HostCannot,
    /// The environment failed to build.
    BuildFailed,
    /// The time given was not enough.
    Deadline,
    /// The code of a command that was run.
    Command(u8),
}

impl Exit {
    /// Returns the word for it in reports.
    pub fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Error | Self::Command(_) => "error",
            Self::Usage => "usage",
            Self::Miss => "miss",
            Self::Unavailable => "unavailable",
            Self::Lost => "lost",
            Self::NotContentFixed => "not-content-fixed",
            Self::Denied => "denied",
            Self::HostCannot => "host-cannot",
            Self::BuildFailed => "build-failed",
            Self::Deadline => "deadline",
        }
    }

    /// Returns the code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Miss => 10,
            Self::Unavailable => 11,
            Self::Lost => 12,
            Self::NotContentFixed => 13,
            Self::Denied => 14,
            Self::HostCannot => 15,
            Self::BuildFailed => 16,
            Self::Deadline => 17,
            Self::Command(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
