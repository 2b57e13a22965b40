//! Archives in Nix's form: one object of a store, a file, a directory or a symlink, as one stream of bytes.
//!
//! A stream is a row of strings: eight bytes of length, the lowest first, the
//! bytes, zeros up to the next eighth byte. Entries are sorted bytewise, so
//! each tree has one archive, and its SHA-256 names the tree.

#[cfg(test)]
mod hostile;
mod read;
#[cfg(test)]
mod tests;
mod unpack;
mod walk;
mod write;

use std::io;

use crate::store::{DirectoryError, StoreError};

pub use unpack::{Unpacked, unpack_nar};
pub use write::{nar_facts, send_nar, write_nar};

/// The first string of every archive.
const MAGIC: &str = "nix-archive-1";
/// Deepest nesting of directories.
const MAX_DEPTH: usize = 256;
/// Most entries that the directories of an archive have together.
const MAX_ENTRIES: usize = 10_000_000;
/// Longest name or target of a symlink.
const MAX_STRING: u64 = 4096;

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum NarError {
    /// The bytes cannot be taken from where they come, or not given where they go.
    #[error("cannot {action} an archive")]
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
    /// Something else stands there than should.
    #[error("{expected} is expected at byte {offset} of an archive")]
    Syntax {
        /// Where.
        offset: u64,
        /// What should stand there.
        expected: &'static str,
    },
    /// The archive ends too early.
    #[error("an archive ends at byte {offset}, within something")]
    Truncated {
        /// Where.
        offset: u64,
    },
    /// Something comes after the end.
    #[error("an archive goes on after its end at byte {offset}")]
    Trailing {
        /// Where it should end.
        offset: u64,
    },
    /// A name or a target of a symlink is not UTF-8, which a Directory demands.
    #[error("the string that ends at byte {offset} of an archive is not UTF-8")]
    Utf8 {
        /// Where.
        offset: u64,
    },
    /// The entries of a directory are not sorted, or not unique.
    #[error("entry `{name}` before byte {offset} of an archive is not in the order of names")]
    Order {
        /// Where.
        offset: u64,
        /// The name.
        name: String,
    },
    /// An entry is none that a Directory can have.
    #[error("the entry before byte {offset} of an archive cannot be used")]
    Entry {
        /// Where.
        offset: u64,
        /// What is wrong.
        #[source]
        source: DirectoryError,
    },
    /// More or deeper than anyone needs.
    #[error("an archive has more than {limit} {what}")]
    TooLarge {
        /// The limit passed.
        limit: u64,
        /// What there is too much of.
        what: &'static str,
    },
}

impl NarError {
    /// Returns a closure that turns a system error into `Io`, for `map_err`.
    fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}

/// Returns the zeros that follow a string of so many bytes.
fn padding(length: u64) -> usize {
    usize::try_from(length.wrapping_neg() % 8).expect("less than eight")
}
