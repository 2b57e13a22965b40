//! Digests and batches as the REAPI writes them.

use prost::Message;

use crate::digest::{Digest, DigestError, DigestFunction};
use crate::proto::{reapi, rpc, v1};

/// Why a message could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A digest is required and was not given.
    #[error("field `{field}` is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A size below zero.
    #[error("field `{field}` has the negative size {size}")]
    NegativeSize {
        /// The field.
        field: &'static str,
        /// The size given.
        size: i64,
    },
    /// The hash is none.
    #[error("field `{field}` holds no digest")]
    Digest {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: DigestError,
    },
    /// The hash function is not offered.
    #[error("digest function {number} is not offered; SHA256 (1) and BLAKE3 (9) are")]
    Function {
        /// Its number in the REAPI.
        number: i32,
    },
}

/// Reads a digest of the REAPI.
///
/// # Errors
/// When it is absent, has a negative size or a malformed hash.
pub fn digest(
    function: DigestFunction,
    field: &'static str,
    message: Option<&reapi::Digest>,
) -> Result<Digest, WireError> {
    let message = message.ok_or(WireError::Missing { field })?;
    parse(function, field, &message.hash, message.size_bytes)
}

/// Reads a digest of the native protocol.
///
/// # Errors
/// As `digest`.
pub fn native_digest(
    function: DigestFunction,
    field: &'static str,
    message: Option<&v1::Digest>,
) -> Result<Digest, WireError> {
    let message = message.ok_or(WireError::Missing { field })?;
    parse(function, field, &message.hash, message.size_bytes)
}

fn parse(function: DigestFunction, field: &'static str, hash: &str, size: i64) -> Result<Digest, WireError> {
    let size = u64::try_from(size).map_err(|_| WireError::NegativeSize { field, size })?;
    Digest::parse(function, hash, size).map_err(|source| WireError::Digest { field, source })
}

impl From<Digest> for reapi::Digest {
    fn from(digest: Digest) -> Self {
        Self { hash: digest.hash(), size_bytes: wire_size(digest.size()) }
    }
}

impl From<Digest> for v1::Digest {
    fn from(digest: Digest) -> Self {
        Self { hash: digest.hash(), size_bytes: wire_size(digest.size()) }
    }
}

fn wire_size(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Returns the REAPI's number of a function.
pub fn function_number(function: DigestFunction) -> i32 {
    match function {
        DigestFunction::Sha256 => reapi::digest_function::Value::Sha256 as i32,
        DigestFunction::Blake3 => reapi::digest_function::Value::Blake3 as i32,
    }
}

/// Returns the function of a REAPI request. Zero, which old clients send, is SHA-256.
///
/// # Errors
/// When it is not offered.
pub fn function(number: i32) -> Result<DigestFunction, WireError> {
    if number == reapi::digest_function::Value::Unknown as i32 {
        return Ok(DigestFunction::Sha256);
    }
    DigestFunction::ALL
        .into_iter()
        .find(|function| function_number(*function) == number)
        .ok_or(WireError::Function { number })
}

impl From<DigestFunction> for v1::DigestFunction {
    fn from(function: DigestFunction) -> Self {
        match function {
            DigestFunction::Sha256 => Self::Sha256,
            DigestFunction::Blake3 => Self::Blake3,
        }
    }
}

/// Returns the function of a native message.
///
/// # Errors
/// When it names none.
pub fn native_function(number: i32) -> Result<DigestFunction, WireError> {
    match v1::DigestFunction::try_from(number) {
        Ok(v1::DigestFunction::Sha256) => Ok(DigestFunction::Sha256),
        Ok(v1::DigestFunction::Blake3) => Ok(DigestFunction::Blake3),
        Ok(v1::DigestFunction::Unspecified) | Err(_) => Err(WireError::Function { number }),
    }
}

/// Bytes of a message that name one blob in it, at most. Without them, a batch of tiny blobs would be far larger than
/// its blobs.
const ENTRY_BYTES: u64 = 128;

/// Cuts a list of digests into batches of at most `bytes` of message each, unless one blob alone comes to more; order
/// is kept.
pub fn batches(digests: &[Digest], bytes: u64) -> Vec<&[Digest]> {
    let mut batches = Vec::new();
    let (mut start, mut sum) = (0, 0);
    for (at, digest) in digests.iter().enumerate() {
        let entry = digest.size() + ENTRY_BYTES;
        if at > start && sum + entry > bytes {
            batches.push(&digests[start..at]);
            (start, sum) = (at, 0);
        }
        sum += entry;
    }
    if start < digests.len() {
        batches.push(&digests[start..]);
    }
    batches
}

/// Returns a status as the message that stands inside of answers. Its details, where there are some, are that
/// message already.
pub fn status_message(status: &tonic::Status) -> rpc::Status {
    match rpc::Status::decode(status.details()) {
        Ok(whole) if whole.code != 0 => whole,
        _ => rpc::Status { code: status.code().into(), message: status.message().to_owned(), details: Vec::new() },
    }
}

/// Returns the status that a message inside of an answer states: the other way round.
pub fn status(message: rpc::Status) -> tonic::Status {
    let details = message.encode_to_vec();
    tonic::Status::with_details(message.code.into(), message.message, details.into())
}

/// Returns a status as people read it: code and message.
pub(crate) fn describe(status: &tonic::Status) -> String {
    if status.message().is_empty() {
        format!("{:?}", status.code())
    } else {
        format!("{:?}: {}", status.code(), status.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_order_and_limit() {
        let digest = |size| Digest::parse(DigestFunction::Sha256, &"ab".repeat(32), size).expect("well formed");
        let all = [digest(4), digest(4), digest(3), digest(20), digest(1)];
        let sizes: Vec<Vec<u64>> =
            batches(&all, 8 + 2 * ENTRY_BYTES).iter().map(|batch| batch.iter().map(Digest::size).collect()).collect();
        assert_eq!(sizes, [vec![4, 4], vec![3], vec![20], vec![1]]);
        assert!(batches(&[], 8).is_empty());
    }

    #[test]
    fn a_negative_size_is_refused() {
        let message = reapi::Digest { hash: "ab".repeat(32), size_bytes: -1 };
        assert!(matches!(
            digest(DigestFunction::Sha256, "x", Some(&message)),
            Err(WireError::NegativeSize { size: -1, .. })
        ));
    }
}
