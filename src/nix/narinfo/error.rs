//! Why a text is no narinfo.

use super::MAX_NARINFO_BYTES;
use crate::nix::hash::HashError;
use crate::nix::signing::SigningError;
use crate::nix::store_path::StorePathError;

/// Why a text is no narinfo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarInfoError {
    /// It is longer than anyone needs.
    #[error("a narinfo of {size} bytes is longer than {MAX_NARINFO_BYTES}")]
    TooLarge {
        /// Its bytes.
        size: usize,
    },
    /// A line is no name with a value, or not ended.
    #[error("line {line} of a narinfo is not `NAME: VALUE`")]
    Line {
        /// The line, from 1.
        line: usize,
    },
    /// A field stands there twice.
    #[error("field `{field}` of a narinfo is given twice")]
    Twice {
        /// The field.
        field: &'static str,
    },
    /// A field is missing.
    #[error("a narinfo has no field `{field}`")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field has a value that it cannot have.
    #[error("field `{field}` of a narinfo cannot be `{value}`")]
    Value {
        /// The field.
        field: &'static str,
        /// The value, cut to a readable length.
        value: String,
    },
    /// A field should be a store path.
    #[error("field `{field}` of a narinfo is no store path")]
    Path {
        /// The field.
        field: &'static str,
        /// What is wrong.
        #[source]
        source: StorePathError,
    },
    /// A field should be a hash.
    #[error("field `{field}` of a narinfo is no hash")]
    Hash {
        /// The field.
        field: &'static str,
        /// What is wrong.
        #[source]
        source: HashError,
    },
    /// A signature is none.
    #[error("a signature of a narinfo cannot be read")]
    Signature {
        /// What is wrong.
        #[source]
        source: SigningError,
    },
}
