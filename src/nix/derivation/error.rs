//! Why a text is no derivation.

use std::string::FromUtf8Error;

use super::MAX_DERIVATION_BYTES;
use crate::nix::hash::HashError;
use crate::nix::store_path::{StorePath, StorePathError};
use crate::nix::unsupported::Unsupported;

/// Why a text is no derivation that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DerivationError {
    /// It is longer than anyone needs.
    #[error("a derivation of {size} bytes is longer than {MAX_DERIVATION_BYTES}")]
    TooLarge {
        /// Its bytes.
        size: usize,
    },
    /// Something else stands there than should.
    #[error("`{expected}` is expected at byte {offset} of a derivation, there is `{found}`")]
    Syntax {
        /// Where.
        offset: usize,
        /// What should stand there.
        expected: &'static str,
        /// What stands there, cut to a readable length.
        found: String,
    },
    /// A string is not UTF-8, which variables and arguments of a remote action have to be.
    #[error("the string at byte {offset} of a derivation is not UTF-8")]
    Utf8 {
        /// Where it begins.
        offset: usize,
        /// Where it is not.
        #[source]
        source: FromUtf8Error,
    },
    /// The entries of a list are not sorted, or not unique.
    #[error("the entry at byte {offset} of a derivation is not in order")]
    Order {
        /// Where it begins.
        offset: usize,
    },
    /// A string is not the store path or the name that it should be.
    #[error("the string at byte {offset} of a derivation is not as it should be")]
    Path {
        /// Where it begins.
        offset: usize,
        /// What is wrong.
        #[source]
        source: StorePathError,
    },
    /// The input at this place is no derivation.
    #[error("`{path}` at byte {offset} of a derivation is no derivation")]
    NotDerivation {
        /// Where it begins.
        offset: usize,
        /// The input.
        path: StorePath,
    },
    /// The hash of a fixed output is none, or no lower-case hexadecimal one.
    #[error("output `{output}` of a derivation has no usable hash")]
    Hash {
        /// The output.
        output: String,
        /// What is wrong.
        #[source]
        source: HashError,
    },
    /// No outputs, a fixed one beside others, or one of another name than `out`.
    #[error("a derivation has either one fixed output, `out`, or others, and at least one")]
    Outputs,
    /// It asks for what envserve does not build.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
}
