//! Exit codes, in one place.

use std::process::ExitCode;

use crate::client::ErrorKind;

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
    /// All but those of commands.
    pub const ALL: [Self; 11] = [
        Self::Done,
        Self::Error,
        Self::Usage,
        Self::Miss,
        Self::Unavailable,
        Self::Lost,
        Self::NotContentFixed,
        Self::Denied,
        Self::HostCannot,
        Self::BuildFailed,
        Self::Deadline,
    ];

    /// Returns when a verb ends so, as the manual says it; docs/errors.md begins with the same, and goes on.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or a hit",
            Self::Error => "an error without a code of its own",
            Self::Usage => "the command line is wrong",
            Self::Miss => "the environment would have to be built",
            Self::Unavailable => "the server, or the endpoint behind it, cannot be reached",
            Self::Lost => "blobs of the answer were lost three times",
            Self::NotContentFixed => "the spec, or the base of an image, is not fixed in content",
            Self::Denied => "the server, or the endpoint that it names, does not allow it",
            Self::HostCannot => "this host cannot do it",
            Self::BuildFailed => "the environment failed to build",
            Self::Deadline => "the time that was given was not enough",
            Self::Command(_) => "that of the command",
        }
    }

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

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Other => Self::Error,
            ErrorKind::Usage => Self::Usage,
            ErrorKind::Unbuilt => Self::Miss,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Lost => Self::Lost,
            ErrorKind::NotContentFixed => Self::NotContentFixed,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::HostCannot => Self::HostCannot,
            ErrorKind::BuildFailed => Self::BuildFailed,
            ErrorKind::Deadline => Self::Deadline,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_same_codes_with_the_same_meanings() {
        let text = include_str!("../../docs/errors.md");
        let row = |line: &str| {
            let (code, meaning) = line.strip_prefix("| ")?.split_once(" | ")?;
            Some((code.parse::<u8>().ok()?, meaning.to_owned()))
        };
        let rows: Vec<(u8, String)> = text.lines().filter_map(row).collect();
        assert_eq!(rows.iter().map(|(code, _)| *code).collect::<Vec<_>>(), Exit::ALL.map(Exit::code));
        for ((_, documented), exit) in rows.iter().zip(Exit::ALL) {
            assert!(documented.starts_with(exit.meaning()), "{documented}");
        }
    }
}
