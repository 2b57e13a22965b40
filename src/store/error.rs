//! What can go wrong in a store.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::spec::GitId;

use super::DirectoryError;
use crate::transport::{CallError, EndpointError, is_of_transport};

/// Why a store could not do what it was asked. Absence is not among the reasons.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// Bytes given under a digest are not those it names.
    #[error("a blob said to be `{expected}` is `{actual}`")]
    Mismatch {
        /// The digest claimed.
        expected: Digest,
        /// The digest computed.
        actual: Digest,
    },
    /// More bytes came than a blob has.
    #[error("more bytes came for blob `{expected}` than it has")]
    TooLong {
        /// The digest claimed.
        expected: Digest,
    },
    /// There is no room, and nothing that may be evicted to make some.
    #[error("no room for {needed} more bytes: the store holds {used}, and all that may go is gone")]
    Full {
        /// The bytes to be stored.
        needed: u64,
        /// The bytes that the store takes.
        used: u64,
    },
    /// A blob that is needed is not there.
    #[error("blob `{digest}` ({role}) is not in the CAS")]
    Missing {
        /// The blob.
        digest: Digest,
        /// What it was needed for.
        role: &'static str,
    },
    /// A blob is no valid Directory or Tree.
    #[error("blob `{digest}` cannot be used as a directory")]
    Directory {
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        source: DirectoryError,
    },
    /// RocksDB refused.
    #[error("cannot {action} the database `{path}`")]
    Database {
        /// What was attempted.
        action: &'static str,
        /// Where the database lies.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: rocksdb::Error,
    },
    /// A record in the database is not in the form that this version writes.
    #[error("a record of table `{table}` cannot be read")]
    Record {
        /// The table.
        table: &'static str,
    },
    /// libgit2 refused.
    #[error("cannot {action} Git object `{id}`")]
    Git {
        /// What was attempted.
        action: &'static str,
        /// The object.
        id: GitId,
        /// Its reason.
        #[source]
        source: git2::Error,
    },
    /// What is said to be a commit is another object.
    #[error("`{id}` is a {kind}, not a commit")]
    NotCommit {
        /// The object.
        id: GitId,
        /// What it is.
        kind: &'static str,
        /// The commit that a tag leads to.
        leads_to: Option<GitId>,
    },
    /// A Git repository cannot be opened or made.
    #[error("cannot open the Git repository `{path}`")]
    GitRepository {
        /// Where it lies.
        path: PathBuf,
        /// libgit2's reason.
        #[source]
        source: git2::Error,
    },
    /// A Git tree holds something that no Directory can hold.
    #[error("`{name}` in Git tree `{tree}` is {what}")]
    GitEntry {
        /// The tree.
        tree: GitId,
        /// The entry.
        name: String,
        /// What it is, and why that cannot be used.
        what: &'static str,
    },
    /// An endpoint could not be reached.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// An endpoint answered with an error.
    #[error("{rpc} at `{endpoint}` failed: {status}", status = super::wire::describe(source))]
    Rpc {
        /// The call.
        rpc: &'static str,
        /// The endpoint.
        endpoint: String,
        /// Its answer.
        #[source]
        source: Box<tonic::Status>,
    },
    /// An endpoint broke the protocol.
    #[error("{rpc} at `{endpoint}` gave an answer outside the protocol: {reason}")]
    Protocol {
        /// The call.
        rpc: &'static str,
        /// The endpoint.
        endpoint: String,
        /// What was wrong.
        reason: String,
    },
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unreachable(error) => Self::Endpoint(error),
            CallError::Failed { rpc, endpoint, status } => {
                Self::Rpc { rpc, endpoint: endpoint.to_string(), source: status }
            }
        }
    }
}

impl StoreError {
    /// Returns what the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotCommit { leads_to: Some(commit), .. } => Some(format!("write `\"commit\": \"{commit}\"`")),
            _ => None,
        }
    }

    /// Says whether an endpoint could not be reached, or did not feel able to answer: nothing is known then.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Endpoint(EndpointError::Unreachable { .. }) => true,
            Self::Rpc { source, .. } => is_of_transport(source) || source.code() == tonic::Code::Unavailable,
            _ => false,
        }
    }

    /// Returns a closure that turns a system error into `Io`, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
