//! What a user can do about an error of the client.

use std::io;

use tonic::Code;
use tonic_types::StatusExt;

use super::{ClientError, OptionsError};
use crate::execute::HOST_VIOLATION;
use crate::serve::status::{RoleDenied, UNPINNED_VIOLATION};
use crate::source::SourceError;
use crate::spec::KindName;
use crate::store::StoreError;
use crate::transport::{Endpoint, EndpointError};

impl ClientError {
    /// Returns what the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        if let Some(status) = self.status().filter(|status| is_denied(status)) {
            return Some(denied_hint(status));
        }
        match self {
            Self::Spec(error) => error.hint(),
            Self::ReadSpec { .. } => Some("give the path of a spec file, as in `envserve fetch spec.json`".to_owned()),
            Self::Options(OptionsError::NoRoot) => Some("set `ENVSERVE_ROOT`, or make the options by `ClientOptions::new`".to_owned()),
            Self::Options(OptionsError::Address(error)) => Some(unreachable_hint(error)),
            Self::Private { source: Some(source), .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("is the program `envserve` installed? (`ClientOptions::program` names it)".to_owned())
            }
            Self::Source(error) => error.hint(),
            Self::Unreachable(error) => Some(unreachable_hint(error)),
            Self::NotContentFixed { fix, .. } => Some(fix.clone()),
            Self::AbsentRoot { endpoint: None, .. } => Some(
                "name a server that knows it by `--serve` or ENVSERVE_SERVE, or fetch it here with `--fetch-absent`"
                    .to_owned(),
            ),
            Self::AbsentRoot { .. } => Some(
                "fetch the environment once from where its sources are with the same server, let the server fetch them \
                 (`envserve serve --fetch`), or fetch them here with `--fetch-absent`"
                    .to_owned(),
            ),
            Self::Unbuilt { .. } => Some("fetch that environment first".to_owned()),
            Self::Lost { .. } => Some("the CAS loses blobs faster than they are fetched: enlarge it".to_owned()),
            Self::Nameless { .. } => Some("give it one: `\"distfile\": \"NAME\"`".to_owned()),
            Self::Occupied { .. } => Some("choose another path, or move what is there".to_owned()),
            Self::View { kind: KindName::Checkpoint, .. } | Self::OnlyStarted => {
                Some("start copies of it by `envserve up`".to_owned())
            }
            Self::View { .. } => Some("leave `--view` out".to_owned()),
            Self::Choice(error) if error.is_of_host() => {
                Some("leave the form out: the fastest that this host can is taken".to_owned())
            }
            Self::Choice(_) => Some("choose another form, or none".to_owned()),
            Self::OnlyRoot => Some("run envserve as root".to_owned()),
            Self::Container(error) => error.hint(),
            Self::NotEntered => Some("run commands in it by `envserve run`".to_owned()),
            Self::NotAlone { .. } => Some("enter it where it is, by `envserve shell`, or share a store by `--store`".to_owned()),
            Self::Lacks { package, .. } => Some(format!("install the package `{package}`")),
            Self::Namespace { .. } => Some(
                "unprivileged user namespaces have to be allowed, or the closure has to lie in /nix/store itself: \
                 `--store /`"
                    .to_owned(),
            ),
            Self::Removed { .. } => Some("is a garbage collector running there?".to_owned()),
            Self::Failed(failed) => {
                failed.log_digest.map(|digest| format!("the whole log is blob `{digest:?}` in the CAS"))
            }
            Self::Disconnected { .. } => Some("try again; what has arrived is kept".to_owned()),
            Self::Store(error) => error.hint(),
            Self::Options(_)
            | Self::Build(_)
            | Self::Private { .. }
            | Self::HostLacks { .. }
            | Self::Rpc { .. }
            | Self::Waited { .. }
            | Self::Protocol { .. }
            | Self::RootAsked { .. }
            | Self::Tree { .. }
            | Self::Closure { .. }
            | Self::Image { .. }
            | Self::Checkpoint { .. }
            | Self::Load { .. }
            | Self::NoDirectory { .. }
            | Self::NixDatabase { .. }
            | Self::Io { .. } => None,
        }
    }
}

/// Returns what to write instead of something that is not fixed by content, where the answer says that.
pub(super) fn pinned_form(status: &tonic::Status) -> Option<String> {
    if status.code() != Code::FailedPrecondition {
        return None;
    }
    let violations = status.get_details_precondition_failure()?.violations;
    violations
        .into_iter()
        .find(|violation| violation.r#type == UNPINNED_VIOLATION)
        .map(|violation| violation.description)
}

/// Says whether the answer is about what the host of the server cannot do.
pub(super) fn is_of_host(status: &tonic::Status) -> bool {
    let violations = status.get_details_precondition_failure().map(|failure| failure.violations);
    violations.is_some_and(|violations| violations.iter().any(|violation| violation.r#type == HOST_VIOLATION))
}

impl ClientError {
    /// Returns the status with which a server refused, where that is what went wrong.
    fn status(&self) -> Option<&tonic::Status> {
        match self {
            Self::Rpc { status, .. } => Some(status),
            Self::Store(StoreError::Rpc { source, .. })
            | Self::Source(SourceError::Store(StoreError::Rpc { source, .. })) => Some(source),
            _ => None,
        }
    }
}

/// Says whether the answer depends on who asks.
fn is_denied(status: &tonic::Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
}

/// Returns what helps who is denied something: a token, a better one, or somebody who has it built.
fn denied_hint(status: &tonic::Status) -> String {
    match RoleDenied::of(status) {
        None => TOKEN_HINT.to_owned(),
        Some(RoleDenied { not_built: true, least }) => format!(
            "have it built by somebody with the role `{least}`, by `envserve prefill` say, or show a token of that role; {TOKEN_HINT}"
        ),
        Some(RoleDenied { not_built: false, least }) => format!("show a token of the role `{least}`: {TOKEN_HINT}"),
    }
}

const TOKEN_HINT: &str = "a file with a line `authorization: Bearer TOKEN` is named by `--serve-headers` or \
    ENVSERVE_SERVE_HEADERS, for an endpoint that the server names by `--remote-headers` or ENVSERVE_REMOTE_HEADERS";

fn unreachable_hint(error: &EndpointError) -> String {
    match error {
        EndpointError::Address { .. } => "the address is --serve or ENVSERVE_SERVE".to_owned(),
        EndpointError::Plain { .. } => {
            "certificates are those of `--serve-ca`, `--serve-cert`, `--remote-ca` and so on".to_owned()
        }
        EndpointError::Unreachable { endpoint: Endpoint::Tls(_), .. } => {
            "is a daemon running there? (`--serve-ca` names the authorities to trust, `--serve-cert` and `--serve-key` \
             what it wants to see)"
                .to_owned()
        }
        EndpointError::Unreachable { endpoint, .. } => format!(
            "is a daemon running there? (start one with `envserve serve --listen {endpoint}`, or leave --serve and \
             ENVSERVE_SERVE out)"
        ),
    }
}
