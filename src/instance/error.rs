//! What can go wrong with instances.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::container::ContainerError;

/// Why something cannot be done with an instance.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// There is no such instance here.
    #[error("there is no instance `{id}` in `{root}`")]
    Unknown {
        /// What was asked for.
        id: String,
        /// The client root.
        root: PathBuf,
    },
    /// Only root can have instances.
    #[error("only root can have instances on this host: their files are those of many users, in a namespace of users")]
    NotRoot,
    /// The process to which the instances should belong is not there.
    #[error("the process {pid}, to which the instances are to belong, is gone")]
    OwnerGone {
        /// Its number.
        pid: u32,
    },
    /// The instance could not be started, or is not what it was.
    #[error("{}", .0.text)]
    Failed(Box<Failure>),
    /// The process that looks after an instance is gone.
    #[error("the process that looks after {} has ended", .id.as_deref().map_or("an instance".to_owned(), |id| format!("instance `{id}`")))]
    Abandoned {
        /// The instance, if it had a name already.
        id: Option<String>,
    },
    /// An instance has something where a directory is needed, or the other way round; or it is nothing to be copied.
    #[error("`{path}` cannot be copied: it is {what}")]
    NotCopied {
        /// The path.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// There can be no container of it.
    #[error(transparent)]
    Container(Box<ContainerError>),
    /// The file system refused.
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

/// What an instance does not do, as the process that looks after it tells others.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// What code decides on.
    pub reason: Reason,
    /// What is told.
    pub text: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// The end of the output.
    pub log: String,
}

/// Why an instance does not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// This host cannot do it.
    Host,
    /// There is no command.
    NoCommand,
    /// The command has ended.
    Ended,
    /// The service was not ready in time.
    NotReady,
    /// A command that runs beside the service before that counts as ready has failed.
    Beside,
    /// Something else.
    Other,
}

impl Failure {
    pub(super) fn new(reason: Reason, text: String) -> Self {
        Self { reason, text, hint: None, log: String::new() }
    }

    /// Returns that of an instance whose command has ended, with what it has said.
    pub(super) fn ended(code: u8, log: String) -> Self {
        Self { log, ..Self::new(Reason::Ended, format!("the command of the instance has ended: {}", ending(code))) }
    }

    /// Returns that of a command that ran beside the service.
    pub(super) fn beside(what: &str, words: &[String], code: u8, log: String) -> Self {
        Self { log, ..Self::new(Reason::Beside, format!("{what} `{}` has failed: {}", words.join(" "), ending(code))) }
    }

    pub(super) fn of(error: &InstanceError, log: String) -> Self {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            text.push_str(&format!(": {inner}"));
            cause = inner.source();
        }
        let reason = match error {
            InstanceError::Container(error) => match **error {
                ContainerError::NoCommand => Reason::NoCommand,
                ref error if error.is_of_host() => Reason::Host,
                _ => Reason::Other,
            },
            _ => Reason::Other,
        };
        Self { reason, text, hint: error.hint(), log }
    }
}

/// Says how a command ended that has this exit code.
pub(super) fn ending(code: u8) -> String {
    let signal = code.checked_sub(128).and_then(|signal| Signal::from_named_raw(signal.into()));
    signal.map_or_else(|| format!("exit code {code}"), |signal| format!("signal {}", signal.as_raw()))
}

impl From<ContainerError> for InstanceError {
    fn from(error: ContainerError) -> Self {
        Self::Container(Box::new(error))
    }
}

impl InstanceError {
    /// Returns a closure that turns a system error into `Io`, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Says whether a copy may start in another form where it does not in this one.
    pub fn is_of_form(&self) -> bool {
        match self {
            Self::Failed(failure) => match failure.reason {
                Reason::Host | Reason::Ended | Reason::NotReady | Reason::Other => true,
                // It is the same in all forms.
                Reason::NoCommand | Reason::Beside => false,
            },
            _ => false,
        }
    }

    /// Returns what the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => Some("`envserve ps` lists those that are there".to_owned()),
            Self::NotRoot => Some("run a command as you are by `envserve run`".to_owned()),
            Self::OwnerGone { .. } => Some(
                "name one that stays by `--owner-pid`, or 0 for instances that stay until `envserve down`".to_owned(),
            ),
            Self::Failed(failure) => failure.hint.clone(),
            Self::Container(error) => error.hint(),
            Self::Abandoned { .. } | Self::NotCopied { .. } | Self::Io { .. } => None,
        }
    }
}
