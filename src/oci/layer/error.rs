//! Why a layer cannot be read, written or applied.

use std::io;

use crate::spec::shown;
use crate::store::StoreError;

/// Why a layer cannot be read, written or applied.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The bytes cannot be taken from where they come, or not given where they go.
    #[error("cannot {action} a layer")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The CAS failed, or lacks a blob.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tar archive ends too early.
    #[error("a layer ends at byte {offset}, within something")]
    Truncated {
        /// Where.
        offset: u64,
    },
    /// The archive is not as tar archives are.
    #[error("a layer cannot be read before byte {offset}: {what}")]
    Syntax {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An entry is none that a layer can have.
    #[error("entry `{path}` of a layer cannot be taken: {what}")]
    Entry {
        /// Its name, cut to a readable length.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Tree and attributes do not fit together.
    #[error("`{path}` of a layer has attributes that do not fit to its tree: {what}")]
    Attributes {
        /// The path, cut to a readable length.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// More than anyone needs.
    #[error("a layer has more than {limit} {what}")]
    TooLarge {
        /// The limit passed.
        limit: u64,
        /// What there is too much of.
        what: &'static str,
    },
}

impl LayerError {
    /// Returns what is wrong with the layer itself, or `None` when the disk or the store failed.
    pub fn fault_of_content(&self) -> Option<String> {
        match self {
            // Decompressors tell what is wrong as an error that the system did not give.
            Self::Io { source, .. } if source.raw_os_error().is_none() && is_of_data(source) => {
                Some(format!("{self}: {source}"))
            }
            Self::Io { .. } | Self::Store(_) => None,
            Self::Truncated { .. }
            | Self::Syntax { .. }
            | Self::Entry { .. }
            | Self::Attributes { .. }
            | Self::TooLarge { .. } => Some(self.to_string()),
        }
    }

    /// Returns a closure that turns a system error into `Io`, for `map_err`.
    pub(in crate::oci) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }

    /// Returns a closure that makes `Attributes` of what is wrong with a path.
    pub(in crate::oci) fn attributes(path: &str) -> impl Fn(&'static str) -> Self {
        move |what| Self::Attributes { path: shown(path), what }
    }

    /// Returns a closure that makes `Entry` of what is wrong with a name.
    pub(in crate::oci) fn entry(path: &[u8]) -> impl Fn(&'static str) -> Self {
        move |what| Self::Entry { path: shown(&String::from_utf8_lossy(path)), what }
    }
}

/// Says whether an error is one that decompressors give.
fn is_of_data(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other)
}
