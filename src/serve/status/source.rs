//! Sources as gRPC statuses: trees, archives, files that are fetched, images of registries.

use tonic::{Code, Status};

use super::{io_status, logged, store_status, told, unpinned};
use crate::source::{ArchiveError, DistdirError, FetchError, FetchReason, RegistryError, SourceError};

/// Returns the status of a source tree that could not be had.
pub fn source_status(error: &SourceError) -> Status {
    match error {
        SourceError::Store(error) => store_status(error),
        SourceError::Read { source, .. } | SourceError::Start { source, .. } => io_status(error, source),
        SourceError::Unknown { .. }
        | SourceError::UnknownCommit { .. }
        | SourceError::UnknownContent { .. }
        | SourceError::NoCommit { .. }
        | SourceError::NoSubdir { .. } => told(Code::NotFound, error),
        SourceError::Archive { source, .. } => archive_status(error, source),
        SourceError::Fetch(source) => fetch_status(source),
        SourceError::Registry(source) => registry_status(source),
        SourceError::Distdir(source) => match source {
            DistdirError::Store(error) => store_status(error),
            DistdirError::Unknown { .. } => told(Code::NotFound, error),
            DistdirError::Name { .. } => told(Code::InvalidArgument, error),
        },
        SourceError::Unsupported { .. }
        | SourceError::Collision { .. }
        | SourceError::OtherTree { .. }
        | SourceError::Special(_) => told(Code::InvalidArgument, error),
        SourceError::OtherContent { .. } => logged(Code::DataLoss, error),
        SourceError::Failed { .. } | SourceError::OtherRoot { .. } | SourceError::Modified { .. } => {
            told(Code::FailedPrecondition, error)
        }
        SourceError::Timeout { .. } => told(Code::DeadlineExceeded, error),
        SourceError::Incomplete { .. } => logged(Code::DataLoss, error),
    }
}

fn fetch_status(error: &FetchError) -> Status {
    match error {
        FetchError::Store(error) => store_status(error),
        FetchError::Nowhere { .. } | FetchError::Refused { .. } => told(Code::FailedPrecondition, error),
        FetchError::Web { .. } => logged(Code::Internal, error),
    }
}

/// Returns the status of an image that could not be pulled.
fn registry_status(error: &RegistryError) -> Status {
    match error {
        RegistryError::Store(error) => store_status(error),
        RegistryError::Fetch(error) => fetch_status(error),
        RegistryError::Unpinned { reference } => unpinned(error, &format!("write `{reference}@sha256:HASH`")),
        RegistryError::NoRegistry { .. }
        | RegistryError::Document { .. }
        | RegistryError::Platform { .. }
        | RegistryError::Nested { .. }
        | RegistryError::TooLarge { .. } => told(Code::InvalidArgument, error),
        RegistryError::Unknown { .. } => told(Code::NotFound, error),
        // What the registry has against us is for whoever has started the daemon.
        RegistryError::NotAllowed { .. }
        | RegistryError::Denied { .. }
        | RegistryError::AuthFile { .. }
        | RegistryError::Realm { .. }
        | RegistryError::Token { .. } => told(Code::FailedPrecondition, error),
        RegistryError::Failed { reason: FetchReason::Mismatch(_), .. } => told(Code::DataLoss, error),
        RegistryError::Failed { .. } => told(Code::FailedPrecondition, error),
        RegistryError::Timeout { .. } => told(Code::DeadlineExceeded, error),
    }
}

/// Returns the status of an archive that was not unpacked: its own fault, unless a disk failed.
fn archive_status(error: &SourceError, source: &ArchiveError) -> Status {
    match source {
        ArchiveError::Store(error) => store_status(error),
        ArchiveError::Open { source, .. } => io_status(error, source),
        ArchiveError::Read { .. }
        | ArchiveError::Truncated { .. }
        | ArchiveError::Zip { .. }
        | ArchiveError::SevenZ { .. }
        | ArchiveError::NotUtf8 { .. }
        | ArchiveError::Absolute { .. }
        | ArchiveError::Upwards { .. }
        | ArchiveError::Name { .. }
        | ArchiveError::GitDirectory { .. }
        | ArchiveError::Unsupported { .. }
        | ArchiveError::Duplicate { .. }
        | ArchiveError::NotADirectory { .. }
        | ArchiveError::CaseCollision { .. }
        | ArchiveError::HardLink { .. }
        | ArchiveError::Target { .. }
        | ArchiveError::Size { .. }
        | ArchiveError::Collision { .. }
        | ArchiveError::Method { .. }
        | ArchiveError::ListMethod
        | ArchiveError::Memory { .. }
        | ArchiveError::Entries { .. }
        | ArchiveError::Bytes { .. }
        | ArchiveError::FileBytes { .. }
        | ArchiveError::Ratio { .. }
        | ArchiveError::Header { .. }
        | ArchiveError::NoSubdir { .. } => told(Code::InvalidArgument, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FetchMismatch;
    use crate::store::StoreError;

    #[test]
    fn what_becomes_of_a_base_that_cannot_be_pulled() {
        let text = || "r.example".to_owned();
        let unsupported = RegistryError::Failed { address: text(), reason: FetchReason::Unsupported };
        let mismatch = FetchReason::Mismatch(FetchMismatch::Size { expected: 1, actual: 2 });
        let full = std::io::ErrorKind::StorageFull.into();
        let full = StoreError::Io { action: "write", path: "/secret".into(), source: full };
        for (error, code) in [
            (RegistryError::NoRegistry { reference: text() }, Code::InvalidArgument),
            (RegistryError::NotAllowed { address: text(), option: text() }, Code::FailedPrecondition),
            (RegistryError::Unpinned { reference: text() }, Code::FailedPrecondition),
            (RegistryError::Unknown { registry: text(), what: text() }, Code::NotFound),
            (unsupported, Code::FailedPrecondition),
            (RegistryError::Failed { address: text(), reason: mismatch }, Code::DataLoss),
            (RegistryError::Timeout { reference: text(), seconds: 1 }, Code::DeadlineExceeded),
            (RegistryError::Store(full), Code::ResourceExhausted),
        ] {
            let status = source_status(&SourceError::from(error));
            assert_eq!(status.code(), code, "{status}");
            assert!(!status.message().contains("secret"), "{status}");
        }
    }
}
