//! Errors as the command line ends with them: each has an exit code, and a hint where there is one.

use std::io;
use std::path::PathBuf;

use super::Exit;
use super::prefill::PrefillError;
use crate::checkpoint::WorkerError;
use crate::client::{ClientError, ErrorKind};
use crate::instance::{InstanceError, Reason};
use crate::serve::{DispatchError, ServeError};
use crate::spec::{KindName, PinName, SpecError, candidates};
use crate::store::StoreError;
use crate::transport::{EndpointError, SecurityError};

const EXPOSED_HINT: &str = "name those who may write by `--token-file` or `--tls-client-ca`, let all others only read by \
    `--anonymous reader`, listen on loopback or a Unix socket, or say `--allow-anonymous-writes` where everybody who can \
    connect is trusted";

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Client(Box<ClientError>),
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error(transparent)]
    Serve(Box<ServeError>),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Address(#[from] EndpointError),
    #[error(transparent)]
    Security(#[from] SecurityError),
    #[error(transparent)]
    Worker(Box<WorkerError>),
    #[error("cannot read `{path}`")]
    ReadFile { path: PathBuf, source: io::Error },
    #[error("cannot use the list of executors in `{path}`")]
    Dispatch { path: PathBuf, source: DispatchError },
    #[error("only one half of an endpoint is named: `{missing}` or `--remote` is missing")]
    HalfAnEndpoint { missing: &'static str },
    #[error("there is no place for the cache: neither `--root`, `ENVSERVE_ROOT`, `XDG_CACHE_HOME` nor `HOME` is set")]
    NoRoot,
    #[error("cannot find the absolute path of `{path}`")]
    Path { path: PathBuf, source: io::Error },
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot write to stdout")]
    Stdout(#[source] io::Error),
    #[error("cannot run `{program}` in the environment")]
    Run { program: String, source: io::Error },
    #[error("cannot {action} the store")]
    Store { action: &'static str, source: StoreError },
    #[error("`--{option}` and `--absent` exclude each other: nothing is fetched")]
    AbsentWith { option: &'static str },
    #[error("an environment of kind `{}` is no image to run a command in", kind.as_str())]
    NoImage { kind: KindName },
    #[error("{given} cannot be given for a checkpoint: what runs, and when it is ready, is part of it")]
    OfCheckpoint { given: &'static str },
    #[error("an environment of kind `{}` has no forms: `--form` is for checkpoints", kind.as_str())]
    NoForms { kind: KindName },
    #[error("`{text}` does not say what to bind: SOURCE:DESTINATION[:ro] is expected, DESTINATION from `/` on")]
    Bind { text: String },
    #[error("there are {ports} ports to pass on, and at most {limit} can be")]
    TooManyPorts { ports: usize, limit: usize },
    #[error("`--compression` is of the layers that `--view oci` writes, and of nothing else")]
    Compression,
    #[error("there is no server to which sources could be given")]
    NoServer,
    #[error("there is no place for the sources")]
    NoDistdir,
    #[error("there is no pin `{name}`{}", candidates(nearest))]
    NoPin { name: PinName, nearest: Vec<String> },
    #[error(transparent)]
    Prefill(#[from] PrefillError),
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::Client(Box::new(error))
    }
}

impl From<Box<ServeError>> for CliError {
    fn from(error: Box<ServeError>) -> Self {
        Self::Serve(error)
    }
}

impl From<ServeError> for CliError {
    fn from(error: ServeError) -> Self {
        Self::Serve(Box::new(error))
    }
}

impl CliError {
    /// Returns the exit code. A reader of stdout that went away is no failure.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.kind().into(),
            Self::Instance(error) => instance_exit(error),
            Self::Prefill(error) => error.exit(),
            Self::Spec(SpecError::NotContentFixed { .. }) => Exit::NotContentFixed,
            Self::Address(_)
            | Self::AbsentWith { .. }
            | Self::HalfAnEndpoint { .. }
            | Self::Compression
            | Self::NoImage { .. }
            | Self::OfCheckpoint { .. }
            | Self::NoForms { .. }
            | Self::Bind { .. }
            | Self::TooManyPorts { .. }
            | Self::NoServer
            | Self::NoDistdir => Exit::Usage,
            Self::Serve(error) if matches!(**error, ServeError::Exposed { .. }) => Exit::Usage,
            Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Run { .. } => Exit::Command(127),
            Self::Worker(error) if error.is_of_host() => Exit::Command(125),
            Self::Serve(_)
            | Self::Worker(_)
            | Self::Security(_)
            | Self::Store { .. }
            | Self::Spec(_)
            | Self::ReadFile { .. }
            | Self::Dispatch { .. }
            | Self::NoRoot
            | Self::Path { .. }
            | Self::Runtime(_)
            | Self::NoPin { .. }
            | Self::Stdout(_) => Exit::Error,
        }
    }

    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => error.hint(),
            Self::Instance(error) => error.hint(),
            Self::Spec(error) => error.hint(),
            Self::Worker(error) => error.hint(),
            Self::NoServer => Some("name it by `--serve` or ENVSERVE_SERVE".to_owned()),
            Self::NoDistdir => Some("name a directory by `--distdir`, or give `--backup-to-remote`".to_owned()),
            Self::NoImage { .. } => Some("use `envserve shell`".to_owned()),
            Self::NoRoot => Some("give `--root DIR`".to_owned()),
            Self::Serve(error) => match &**error {
                ServeError::Open { source: StoreError::Database { .. }, .. } => {
                    Some("one process can have the store at a time: stop the daemon that runs on it first".to_owned())
                }
                ServeError::Exposed { .. } => Some(EXPOSED_HINT.to_owned()),
                _ => None,
            },
            Self::OfCheckpoint { .. } => Some("give it to `envserve up` of the image below".to_owned()),
            Self::NoForms { .. }
            | Self::NoPin { .. }
            | Self::Store { .. }
            | Self::ReadFile { .. }
            | Self::Dispatch { .. }
            | Self::HalfAnEndpoint { .. }
            | Self::Security(_)
            | Self::Address(_)
            | Self::Path { .. }
            | Self::Runtime(_)
            | Self::Stdout(_)
            | Self::Run { .. }
            | Self::Compression
            | Self::Bind { .. }
            | Self::TooManyPorts { .. }
            | Self::Prefill(_)
            | Self::AbsentWith { .. } => None,
        }
    }

    /// Returns text that stands between the error and its hint: the log of a failed build.
    pub(super) fn log(&self) -> Option<&str> {
        match self {
            Self::Client(error) => match &**error {
                ClientError::Failed(failed) if !failed.log.is_empty() => Some(&failed.log),
                _ => None,
            },
            Self::Instance(InstanceError::Failed(failure)) if !failure.log.is_empty() => Some(&failure.log),
            Self::Worker(error) => error.log(),
            _ => None,
        }
    }

    /// Says whether there is nobody to tell.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn instance_exit(error: &InstanceError) -> Exit {
    match error {
        InstanceError::NotRoot => Exit::HostCannot,
        InstanceError::Container(error) => ErrorKind::of_container(error).into(),
        InstanceError::Failed(failure) => match failure.reason {
            Reason::Host => Exit::HostCannot,
            Reason::NoCommand => Exit::Usage,
            Reason::NotReady => Exit::Deadline,
            Reason::Ended | Reason::Beside | Reason::Other => Exit::Error,
        },
        InstanceError::Unknown { .. }
        | InstanceError::OwnerGone { .. }
        | InstanceError::Abandoned { .. }
        | InstanceError::NotCopied { .. }
        | InstanceError::Io { .. } => Exit::Error,
    }
}
