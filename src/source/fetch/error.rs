//! What can go wrong with a fetch.

use std::path::PathBuf;

use super::Reason;
use crate::spec::GitId;
use crate::store::StoreError;

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The directory for downloads refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// HTTP cannot be spoken at all.
    #[error("cannot prepare connections for downloads")]
    Web {
        /// The library's reason.
        #[source]
        source: reqwest::Error,
    },
    /// A file of this host is not the one wanted.
    #[error("`{path}` is not the file wanted")]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Reason,
    },
    /// No address gave the file.
    #[error("cannot fetch the file with Git blob id `{content}`{}", listed(failures))]
    Nowhere {
        /// The Git blob id of the file.
        content: GitId,
        /// What went wrong, for each address in order.
        failures: Vec<FailedAddress>,
    },
}

/// An address that did not give the file.
#[derive(Debug)]
pub struct FailedAddress {
    /// The address, without credentials.
    pub address: String,
    /// What went wrong last.
    pub reason: Reason,
}

fn listed(failures: &[FailedAddress]) -> String {
    if failures.is_empty() {
        return ": no address is given".to_owned();
    }
    failures.iter().map(|failure| format!("\n  `{}`: {}", failure.address, failure.reason)).collect()
}

/// Whether the address or this host is to blame.
#[derive(Debug)]
pub(in crate::source) enum Fault {
    /// The next address may do better.
    Address(Reason),
    /// No address can do better.
    Here(FetchError),
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self::Address(reason)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Here(error.into())
    }
}
