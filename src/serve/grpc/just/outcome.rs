//! How a request for a source tree went, and how each answer of just's protocol says that.

use std::error::Error;

use tonic::Status;

use crate::digest::Digest;
use crate::proto::{just, reapi};
use crate::serve::status::source_status;
use crate::source::{ArchiveError, DistdirError, SourceError};
use crate::spec::GitId;
use crate::store::StoreError;

/// How a request for a source tree or a file went.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outcome {
    tree: String,
    digest: Option<reapi::Digest>,
    trouble: Option<Trouble>,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Trouble {
    /// It is not known here.
    Unknown,
    /// It is known, and could not be put into the CAS.
    Sync,
    /// An archive is unsound.
    Unpack,
    /// A symlink cannot be resolved.
    Resolve,
    /// Anything else; the log says what.
    Internal,
}

impl Outcome {
    /// Returns the outcome that there is such a tree, and where it lies in the CAS.
    pub(super) fn tree(tree: GitId, root: Option<Digest>) -> Self {
        Self { tree: tree.to_string(), digest: root.map(Into::into), trouble: None }
    }

    /// Returns the outcome that something lies in the CAS.
    pub(super) fn blob(digest: Digest) -> Self {
        Self { digest: Some(digest.into()), ..Self::default() }
    }

    /// Returns the outcome that a tree is known and is not in the CAS.
    pub(super) fn not_synced(tree: GitId, error: &SourceError) -> Self {
        tracing::warn!(%tree, error = error as &dyn Error, "cannot put a tree into the CAS");
        Self { trouble: Some(Trouble::Sync), ..Self::tree(tree, None) }
    }

    /// Returns the outcome that nothing came of it.
    pub(super) fn trouble(trouble: Trouble) -> Self {
        Self { trouble: Some(trouble), ..Self::default() }
    }

    /// Returns the outcome of an error.
    ///
    /// # Errors
    /// When the request itself makes no sense.
    pub(super) fn failed(error: &SourceError) -> Result<Self, Status> {
        let trouble = match error {
            SourceError::Unknown { .. }
            | SourceError::UnknownCommit { .. }
            | SourceError::UnknownContent { .. }
            | SourceError::NoCommit { .. }
            | SourceError::Store(StoreError::NotCommit { .. })
            | SourceError::NoSubdir { .. }
            | SourceError::Distdir(DistdirError::Unknown { .. }) => return Ok(Self::trouble(Trouble::Unknown)),
            SourceError::Distdir(DistdirError::Name { .. }) => return Err(source_status(error)),
            SourceError::Archive { source, .. } => match **source {
                ArchiveError::Store(_) | ArchiveError::Open { .. } => Trouble::Internal,
                _ => Trouble::Unpack,
            },
            SourceError::Special(_) => Trouble::Resolve,
            // What is left is for whoever runs the daemon.
            _ => Trouble::Internal,
        };
        tracing::warn!(error = error as &dyn Error, "a source tree cannot be had");
        Ok(Self::trouble(trouble))
    }
}

impl From<Outcome> for just::ServeCommitTreeResponse {
    fn from(Outcome { tree, digest, trouble }: Outcome) -> Self {
        use just::serve_commit_tree_response::Status;
        let status = match trouble {
            None => Status::Ok,
            Some(Trouble::Unknown) => Status::NotFound,
            Some(Trouble::Sync) => Status::SyncError,
            Some(Trouble::Unpack | Trouble::Resolve | Trouble::Internal) => Status::InternalError,
        };
        Self { tree, status: status.into(), digest }
    }
}

impl From<Outcome> for just::ServeArchiveTreeResponse {
    fn from(Outcome { tree, digest, trouble }: Outcome) -> Self {
        use just::serve_archive_tree_response::Status;
        let status = match trouble {
            None => Status::Ok,
            Some(Trouble::Unknown) => Status::NotFound,
            Some(Trouble::Sync) => Status::SyncError,
            Some(Trouble::Unpack) => Status::UnpackError,
            Some(Trouble::Resolve) => Status::ResolveError,
            Some(Trouble::Internal) => Status::InternalError,
        };
        Self { tree, status: status.into(), digest }
    }
}

impl From<Outcome> for just::ServeDistdirTreeResponse {
    fn from(Outcome { tree, digest, trouble }: Outcome) -> Self {
        use just::serve_distdir_tree_response::Status;
        let status = match trouble {
            None => Status::Ok,
            Some(Trouble::Unknown) => Status::NotFound,
            Some(Trouble::Sync) => Status::SyncError,
            Some(Trouble::Unpack | Trouble::Resolve | Trouble::Internal) => Status::InternalError,
        };
        Self { tree, status: status.into(), digest }
    }
}

impl From<Outcome> for just::ServeContentResponse {
    fn from(Outcome { digest, trouble, .. }: Outcome) -> Self {
        use just::serve_content_response::Status;
        let status = match trouble {
            None => Status::Ok,
            Some(Trouble::Unknown) => Status::NotFound,
            Some(Trouble::Sync) => Status::SyncError,
            Some(Trouble::Unpack | Trouble::Resolve | Trouble::Internal) => Status::InternalError,
        };
        Self { status: status.into(), digest }
    }
}

impl From<Outcome> for just::ServeTreeResponse {
    fn from(Outcome { digest, trouble, .. }: Outcome) -> Self {
        use just::serve_tree_response::Status;
        let status = match trouble {
            None => Status::Ok,
            Some(Trouble::Unknown) => Status::NotFound,
            Some(Trouble::Sync) => Status::SyncError,
            Some(Trouble::Unpack | Trouble::Resolve | Trouble::Internal) => Status::InternalError,
        };
        Self { status: status.into(), digest }
    }
}

impl From<Outcome> for just::CheckRootTreeResponse {
    fn from(Outcome { trouble, .. }: Outcome) -> Self {
        use just::check_root_tree_response::Status;
        let status = match trouble {
            None => Status::Ok,
            Some(Trouble::Unknown) => Status::NotFound,
            Some(Trouble::Sync | Trouble::Unpack | Trouble::Resolve | Trouble::Internal) => Status::InternalError,
        };
        Self { status: status.into() }
    }
}

impl From<Outcome> for just::ComputeTreeStructureResponse {
    fn from(Outcome { tree, trouble, .. }: Outcome) -> Self {
        use just::compute_tree_structure_response::Status;
        let status = match trouble {
            None => Status::Ok,
            Some(Trouble::Unknown) => Status::NotFound,
            Some(Trouble::Sync | Trouble::Unpack | Trouble::Resolve | Trouble::Internal) => Status::InternalError,
        };
        Self { status: status.into(), tree_structure_hash: tree }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SpecialError;
    use crate::store::StoreError;

    fn id() -> GitId {
        GitId::from_bytes([0x12; 20])
    }

    fn trouble(error: impl Into<SourceError>) -> Option<Trouble> {
        Outcome::failed(&error.into()).unwrap().trouble
    }

    #[test]
    fn what_is_not_known_is_told_apart_from_what_is_unsound_and_from_what_is_ours() {
        let archive = |source| SourceError::Archive { content: id(), source: Box::new(source) };
        assert_eq!(trouble(SourceError::UnknownCommit { commit: id() }), Some(Trouble::Unknown));
        let files = vec![("x".to_owned(), id())];
        assert_eq!(trouble(DistdirError::Unknown { files }), Some(Trouble::Unknown));
        assert_eq!(trouble(archive(ArchiveError::Absolute { entry: "/x".into() })), Some(Trouble::Unpack));
        let full = StoreError::Full { needed: 1, used: 1 };
        assert_eq!(trouble(archive(ArchiveError::Store(full))), Some(Trouble::Internal));
        assert_eq!(trouble(SpecialError::Cycle { path: "x".into() }), Some(Trouble::Resolve));
        assert!(Outcome::failed(&DistdirError::Name { name: "..".into() }.into()).is_err());
    }

    #[test]
    fn a_tree_that_could_not_be_put_into_the_cas_is_named_all_the_same() {
        let answer: just::ServeArchiveTreeResponse =
            Outcome::not_synced(id(), &SourceError::Unknown { tree: id() }).into();
        assert_eq!(answer.tree, id().to_string());
        assert_eq!(answer.status(), just::serve_archive_tree_response::Status::SyncError);
        assert_eq!(answer.digest, None);
    }
}
