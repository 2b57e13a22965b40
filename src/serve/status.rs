//! Errors as gRPC statuses: the one place where that is decided, and on variants only.
//!
//! What is the client's to put right is told in full. What is ours is logged
//! here, once, and the client gets the id under which it is in the log.

mod role;
mod source;

use std::error::Error;
use std::io;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt};

use crate::digest::{Digest, DigestFunction};
use crate::environment::BuildError;
use crate::execute::{ExecuteError, HOST_VIOLATION};
use crate::nix::NarError;
use crate::oci::{LayerError, StoredImageError};
use crate::serve::pins::PinsError;
use crate::serve::remote::RemoteError;
use crate::serve::resolve::ExplainError;
use crate::spec::{GitId, SpecError};
use crate::store::StoreError;
use crate::store::wire::WireError;
use crate::transport::EndpointError;

pub use role::{RoleDenied, role_message, role_status};
pub use source::source_status;

/// When to try again while a queue or the disk is full.
const RETRY: Duration = Duration::from_secs(5);
/// Type of the violation that names an unknown root.
pub const ROOT_VIOLATION: &str = "ROOT";
/// Type of the violation that says what to write instead of something that is not fixed by content.
pub const UNPINNED_VIOLATION: &str = "NOT_CONTENT_FIXED";
/// Most missing blobs that are named; the rest shows when these are there.
const MAX_VIOLATIONS: usize = 1000;

/// Returns the status of a store's error. Bytes that do not match came from a store, not from the client.
pub fn store_status(error: &StoreError) -> Status {
    match error {
        StoreError::Io { source, .. } => io_status(error, source),
        StoreError::Mismatch { .. } | StoreError::TooLong { .. } | StoreError::Record { .. } => {
            logged(Code::DataLoss, error)
        }
        StoreError::Full { .. } => exhausted(error),
        StoreError::Missing { digest, .. } => missing(&error.to_string(), &[*digest]),
        StoreError::Directory { .. } | StoreError::GitEntry { .. } => told(Code::InvalidArgument, error),
        StoreError::NotCommit { .. } => hinted(error, error.hint()),
        StoreError::Database { .. }
        | StoreError::Git { .. }
        | StoreError::GitRepository { .. }
        | StoreError::Protocol { .. } => logged(Code::Internal, error),
        StoreError::Endpoint(EndpointError::Unreachable { .. }) => told(Code::Unavailable, error),
        StoreError::Endpoint(EndpointError::Address { .. } | EndpointError::Plain { .. }) => {
            logged(Code::Internal, error)
        }
        StoreError::Rpc { source, .. } => rpc_status(error, source.code()),
    }
}

/// Returns the status of an error while storing what the client sent.
pub fn upload_status(error: &StoreError) -> Status {
    match error {
        StoreError::Mismatch { .. } | StoreError::TooLong { .. } => told(Code::InvalidArgument, error),
        StoreError::Full { .. }
        | StoreError::Io { .. }
        | StoreError::Record { .. }
        | StoreError::Missing { .. }
        | StoreError::Directory { .. }
        | StoreError::GitEntry { .. }
        | StoreError::NotCommit { .. }
        | StoreError::Database { .. }
        | StoreError::Git { .. }
        | StoreError::GitRepository { .. }
        | StoreError::Protocol { .. }
        | StoreError::Endpoint(_)
        | StoreError::Rpc { .. } => store_status(error),
    }
}

/// Returns the status of a message that could not be taken.
pub fn wire_status(error: &WireError) -> Status {
    match error {
        WireError::Missing { .. }
        | WireError::NegativeSize { .. }
        | WireError::Digest { .. }
        | WireError::Function { .. } => told(Code::InvalidArgument, error),
    }
}

/// Returns the status of an endpoint elsewhere that cannot be worked with.
pub fn remote_status(error: &RemoteError) -> Status {
    match error {
        // What the endpoint has against us, a wrong instance name say, is for whoever has started the daemon.
        RemoteError::Store(StoreError::Rpc { source, .. })
            if matches!(source.code(), Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition) =>
        {
            told(Code::FailedPrecondition, error)
        }
        RemoteError::Store(error) => store_status(error),
        RemoteError::Function { .. } | RemoteError::NoExecution { .. } => told(Code::FailedPrecondition, error),
    }
}

/// Returns the status of an action that could not be run.
pub fn execute_status(error: &ExecuteError) -> Status {
    match error {
        ExecuteError::Store(error) => store_status(error),
        ExecuteError::MissingBlobs { digests } => missing(&error.to_string(), digests),
        ExecuteError::Invalid { .. } => told(Code::InvalidArgument, error),
        ExecuteError::Denied { .. }
        | ExecuteError::Refused { .. }
        | ExecuteError::Users { .. }
        | ExecuteError::Services { .. }
        | ExecuteError::Service { .. }
        | ExecuteError::UnknownImage { .. }
        | ExecuteError::Image { .. }
        | ExecuteError::Output { .. }
        | ExecuteError::OutputsTooLarge { .. } => told(Code::FailedPrecondition, error),
        ExecuteError::Checkpoints { .. } | ExecuteError::WorkerLacks { .. } => lacking(error),
        ExecuteError::CheckpointsDenied => told(Code::PermissionDenied, error),
        ExecuteError::Timeout { .. } => told(Code::DeadlineExceeded, error),
        ExecuteError::QueueFull { .. } => exhausted(error),
        // Which program an operator has to install is no secret, and spares a look at the log.
        ExecuteError::Host { .. } => told(Code::FailedPrecondition, error),
        ExecuteError::Sandbox { .. } => logged(Code::Internal, error),
        ExecuteError::Io { source, .. } => io_status(error, source),
    }
}

/// Returns the status of an environment that could not be had. A failed build is an outcome and comes elsewhere.
pub fn build_status(error: &BuildError) -> Status {
    match error {
        BuildError::Spec(error) => spec_status(error),
        BuildError::FileName { .. }
        | BuildError::NoFile { .. }
        | BuildError::NoBinding { .. }
        | BuildError::Config { .. }
        | BuildError::NoPath { .. }
        | BuildError::RootFile { .. }
        | BuildError::Compose { .. }
        | BuildError::Cycle { .. } => told(Code::InvalidArgument, error),
        BuildError::UnknownRoots { roots } => unknown_roots(error, roots),
        BuildError::CheckpointDenied { .. } => told(Code::PermissionDenied, error),
        BuildError::NotBuilt { .. } => role::not_built_status(&error.to_string()),
        BuildError::CheckpointWorker { .. } => told(Code::FailedPrecondition, error),
        BuildError::Source(error) => source_status(error),
        BuildError::Store(error) => store_status(error),
        BuildError::Execute { source, .. } => execute_status(source),
        BuildError::Failed(_) => told(Code::FailedPrecondition, error),
        BuildError::LostPath { .. } => told(Code::FailedPrecondition, error),
        BuildError::Archive { source, .. } => object_status(error, source),
        BuildError::Unpinned { fix, .. } => unpinned(error, fix),
        BuildError::Layer { source, .. } => layer_status(error, source),
        BuildError::StoredImage { source, .. } => match &**source {
            StoredImageError::Store(error) => store_status(error),
            StoredImageError::Form { .. } => logged(Code::Internal, error),
        },
        BuildError::Dependency(error) => build_status(error),
        BuildError::Lost { .. } => logged(Code::Internal, error),
    }
}

/// Returns the status of a request that cannot be compared with another.
pub fn explain_status(error: &ExplainError) -> Status {
    match error {
        ExplainError::Build(error) => build_status(error),
        ExplainError::Unknown { .. } => told(Code::NotFound, error),
        ExplainError::Name { .. } | ExplainError::Ambiguous { .. } => told(Code::InvalidArgument, error),
    }
}

/// Returns the status of an entry that is not kept, or not let go.
pub fn pins_status(error: &PinsError) -> Status {
    match error {
        PinsError::Build(error) => build_status(error),
        PinsError::Time { .. } => told(Code::InvalidArgument, error),
        PinsError::NoEntry { .. } | PinsError::Unknown { .. } => told(Code::NotFound, error),
        PinsError::Full => told(Code::ResourceExhausted, error),
    }
}

/// Returns the status of a layer that could not be read or written.
fn layer_status(error: &BuildError, source: &LayerError) -> Status {
    match source {
        LayerError::Store(error) => store_status(error),
        LayerError::Io { source, .. } => io_status(error, source),
        LayerError::Truncated { .. }
        | LayerError::Syntax { .. }
        | LayerError::Entry { .. }
        | LayerError::Attributes { .. }
        | LayerError::TooLarge { .. } => told(Code::InvalidArgument, error),
    }
}

/// Returns the status of an object of a Nix store that cannot be looked at.
fn object_status(error: &BuildError, source: &NarError) -> Status {
    match source {
        NarError::Store(error) => store_status(error),
        NarError::Io { source, .. } => io_status(error, source),
        NarError::TooLarge { .. } => told(Code::InvalidArgument, error),
        NarError::Syntax { .. }
        | NarError::Truncated { .. }
        | NarError::Trailing { .. }
        | NarError::Utf8 { .. }
        | NarError::Order { .. }
        | NarError::Entry { .. } => logged(Code::Internal, error),
    }
}

/// Returns the status of a definition that makes no sense, with what can be done about it.
fn spec_status(error: &SpecError) -> Status {
    hinted(error, error.hint())
}

/// Returns a status that says everything, and what the client can do about it.
fn hinted(error: &(dyn Error + 'static), hint: Option<String>) -> Status {
    let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    Status::invalid_argument(chain(error) + &hint)
}

/// Returns the status of another server's: its refusals are ours to it, not the client's to us.
fn rpc_status(error: &StoreError, code: Code) -> Status {
    match code {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Aborted
        | Code::Unknown
        | Code::Unauthenticated
        | Code::PermissionDenied => told(Code::Unavailable, error),
        Code::ResourceExhausted => exhausted(error),
        Code::DataLoss => logged(Code::DataLoss, error),
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal => logged(Code::Internal, error),
    }
}

pub(crate) fn io_status(error: &(dyn Error + 'static), source: &io::Error) -> Status {
    if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        tracing::error!(error = chain(error), "the disk is full");
        let details = ErrorDetails::with_retry_info(Some(RETRY));
        return Status::with_error_details(Code::ResourceExhausted, "the disk of the server is full", details);
    }
    logged(Code::Internal, error)
}

fn exhausted(error: &(dyn Error + 'static)) -> Status {
    Status::with_error_details(Code::ResourceExhausted, chain(error), ErrorDetails::with_retry_info(Some(RETRY)))
}

/// Returns the status of blobs that have to be uploaded first.
pub(crate) fn missing(message: &str, digests: &[Digest]) -> Status {
    let violations = digests.iter().take(MAX_VIOLATIONS).map(|digest| {
        let function = match digest.function() {
            DigestFunction::Sha256 => "",
            DigestFunction::Blake3 => "blake3/",
        };
        PreconditionViolation::new("MISSING", format!("blobs/{function}{digest}"), "")
    });
    let details = ErrorDetails::with_precondition_failure(violations.collect::<Vec<_>>());
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

/// Returns the status of roots that have to be given to the server first.
fn unknown_roots(error: &BuildError, roots: &[GitId]) -> Status {
    let violation = |root: &GitId| PreconditionViolation::new(ROOT_VIOLATION, root.to_string(), "");
    let details = ErrorDetails::with_precondition_failure(roots.iter().map(violation).collect::<Vec<_>>());
    Status::with_error_details(Code::NotFound, chain(error), details)
}

/// Returns the status of something that is not fixed by content, with what to write instead.
fn unpinned(error: &(dyn Error + 'static), fix: &str) -> Status {
    let violation = PreconditionViolation::new(UNPINNED_VIOLATION, "", fix);
    let details = ErrorDetails::with_precondition_failure(vec![violation]);
    Status::with_error_details(Code::FailedPrecondition, chain(error), details)
}

/// Returns the status of something that the host cannot do, with how to get it.
fn lacking(error: &(dyn Error + 'static)) -> Status {
    let violation = PreconditionViolation::new(HOST_VIOLATION, "", "");
    let details = ErrorDetails::with_precondition_failure(vec![violation]);
    Status::with_error_details(Code::FailedPrecondition, chain(error), details)
}

/// Returns a status that says everything.
fn told(code: Code, error: &(dyn Error + 'static)) -> Status {
    Status::new(code, chain(error))
}

/// Logs the error and returns a status that says where to find it.
pub(crate) fn logged(code: Code, error: &(dyn Error + 'static)) -> Status {
    let id = uuid::Uuid::new_v4();
    tracing::error!(%id, ?code, error = chain(error), "a request failed");
    Status::new(code, format!("the server failed; its log has the reason under `{id}`"))
}

/// Returns an error with its causes.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::source::SourceError;

    fn io(kind: io::ErrorKind) -> StoreError {
        StoreError::Io { action: "read", path: PathBuf::from("/secret"), source: kind.into() }
    }

    #[test]
    fn failures_of_ours_are_internal_and_tell_no_details() {
        for error in [io(io::ErrorKind::NotFound), io(io::ErrorKind::PermissionDenied)] {
            let status = store_status(&error);
            assert_eq!(status.code(), Code::Internal);
            assert!(!status.message().contains("secret"), "{status}");
        }
        assert_eq!(store_status(&io(io::ErrorKind::StorageFull)).code(), Code::ResourceExhausted);
    }

    #[test]
    fn another_servers_not_found_is_not_ours() {
        let rpc = |status| StoreError::Rpc { rpc: "Get", endpoint: "e:1".into(), source: Box::new(status) };
        assert_eq!(store_status(&rpc(Status::not_found("x"))).code(), Code::Internal);
        assert_eq!(store_status(&rpc(Status::unavailable("x"))).code(), Code::Unavailable);
    }

    #[test]
    fn bytes_that_do_not_match_are_the_fault_of_who_gave_them() {
        let [expected, actual] = [b"a", b"b"].map(|bytes| DigestFunction::Sha256.digest(bytes));
        let error = StoreError::Mismatch { expected, actual };
        assert_eq!(store_status(&error).code(), Code::DataLoss);
        assert_eq!(upload_status(&error).code(), Code::InvalidArgument);
    }

    #[test]
    fn a_tag_in_place_of_a_commit_is_the_clients_to_put_right() {
        let [id, commit] = ["1", "2"].map(|digit| GitId::parse(&digit.repeat(40)).unwrap());
        let error = SourceError::Store(StoreError::NotCommit { id, kind: "tag", leads_to: Some(commit) });
        let status = source_status(&error);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), format!("`{id}` is a tag, not a commit (write `\"commit\": \"{commit}\"`)"));
    }

    #[test]
    fn missing_blobs_are_violations() {
        let digests = DigestFunction::ALL.map(|function| function.digest(b"x"));
        let status = execute_status(&ExecuteError::MissingBlobs { digests: digests.to_vec() });
        assert_eq!(status.code(), Code::FailedPrecondition);
        let failure = status.get_details_precondition_failure().unwrap();
        let subjects: Vec<String> = failure.violations.iter().map(|violation| violation.subject.clone()).collect();
        assert_eq!(subjects, [format!("blobs/blake3/{}", digests[0]), format!("blobs/{}", digests[1])]);
        assert!(failure.violations.iter().all(|violation| violation.r#type == "MISSING"));
    }

    #[test]
    fn unknown_roots_are_violations() {
        let roots: Vec<GitId> = ["1", "2"].map(|digit| GitId::parse(&digit.repeat(40)).unwrap()).into();
        let status = build_status(&BuildError::UnknownRoots { roots: roots.clone() });
        assert_eq!(status.code(), Code::NotFound);
        let subjects: Vec<String> =
            status.get_details_precondition_failure().unwrap().violations.into_iter().map(|v| v.subject).collect();
        assert_eq!(subjects, roots.iter().map(ToString::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_says_when_to_come_again() {
        let status = execute_status(&ExecuteError::QueueFull { limit: 1 });
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.get_details_retry_info().is_some());
    }
}
