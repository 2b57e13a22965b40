//! Of which kind an error is: what programs decide on, and exit codes are made of.

use tonic::Code;

use super::ClientError;
use crate::client::OptionsError;
use crate::container::ContainerError;
use crate::source::SourceError;
use crate::spec::SpecError;
use crate::store::StoreError;

/// What an error means for whoever asked. The command `envserve` has an exit code for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something that has no kind of its own.
    Other,
    /// What was asked for is no question: an address that is none, a view that such an environment does not have.
    Usage,
    /// An environment that has to be there first would have to be built, and may not be.
    Unbuilt,
    /// The server, or the endpoint behind it, cannot be reached: another time it may.
    Unavailable,
    /// Blobs of the answer were lost again and again.
    Lost,
    /// The spec, or what it is made of, is not fixed in content.
    NotContentFixed,
    /// The server does not allow it.
    Denied,
    /// This host, or that of the server, cannot do it.
    HostCannot,
    /// The environment failed to build: [`ClientError::Failed`] has its log.
    BuildFailed,
    /// The time given was not enough.
    Deadline,
}

impl ErrorKind {
    /// Returns the kind of an error about containers.
    pub(crate) fn of_container(error: &ContainerError) -> Self {
        match error {
            error if error.is_of_host() => Self::HostCannot,
            ContainerError::NoCommand => Self::Usage,
            _ => Self::Other,
        }
    }

    fn of_code(code: Code) -> Self {
        match code {
            Code::Unavailable => Self::Unavailable,
            Code::PermissionDenied | Code::Unauthenticated => Self::Denied,
            Code::DeadlineExceeded => Self::Deadline,
            _ => Self::Other,
        }
    }
}

impl ClientError {
    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            error if error.is_unavailable() => ErrorKind::Unavailable,
            Self::Private { .. } => ErrorKind::Unavailable,
            Self::Spec(SpecError::NotContentFixed { .. }) | Self::NotContentFixed { .. } => ErrorKind::NotContentFixed,
            Self::Rpc { status, .. } => ErrorKind::of_code(status.code()),
            Self::Store(StoreError::Rpc { source, .. })
            | Self::Source(SourceError::Store(StoreError::Rpc { source, .. })) => ErrorKind::of_code(source.code()),
            Self::Failed(_) => ErrorKind::BuildFailed,
            Self::Lost { .. } => ErrorKind::Lost,
            Self::Unbuilt { .. } => ErrorKind::Unbuilt,
            Self::Waited { .. } => ErrorKind::Deadline,
            Self::Options(OptionsError::Address(_) | OptionsError::HalfAnIdentity { .. })
            | Self::View { .. }
            | Self::OnlyStarted => ErrorKind::Usage,
            Self::OnlyRoot | Self::HostLacks { .. } | Self::Lacks { .. } | Self::Namespace { .. } => {
                ErrorKind::HostCannot
            }
            Self::Choice(error) if error.is_of_host() => ErrorKind::HostCannot,
            Self::Container(error) => ErrorKind::of_container(error),
            Self::Options(_)
            | Self::ReadSpec { .. }
            | Self::Spec(_)
            | Self::Unreachable(_)
            | Self::Disconnected { .. }
            | Self::Build(_)
            | Self::Source(_)
            | Self::Store(_)
            | Self::Protocol { .. }
            | Self::AbsentRoot { .. }
            | Self::Nameless { .. }
            | Self::RootAsked { .. }
            | Self::Tree { .. }
            | Self::Closure { .. }
            | Self::Image { .. }
            | Self::Checkpoint { .. }
            | Self::Choice(_)
            | Self::NotEntered
            | Self::Load { .. }
            | Self::NotAlone { .. }
            | Self::NoDirectory { .. }
            | Self::NixDatabase { .. }
            | Self::Removed { .. }
            | Self::Io { .. }
            | Self::Occupied { .. } => ErrorKind::Other,
        }
    }
}
