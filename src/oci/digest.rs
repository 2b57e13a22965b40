//! The digests of OCI: `sha256:` and the hash. The size stands elsewhere, or nowhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestFunction};
use crate::spec::shown;

const PREFIX: &str = "sha256:";

/// A SHA-256 without a size, as OCI writes it. Other algorithms are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OciDigest(Digest);

/// A text that is no digest, or one of another algorithm than SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not `sha256:` with 64 lower-case hexadecimal digits")]
pub struct OciDigestError {
    /// What was given, cut to a readable length.
    pub text: String,
}

impl OciDigest {
    /// Returns the digest of a blob in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(unsized_digest(&DigestFunction::Sha256.digest(bytes).hash()).expect("a hash is one"))
    }

    /// Returns the same digest without its size, or `None` when it is no SHA-256.
    pub fn from_digest(digest: &Digest) -> Option<Self> {
        if digest.function() == DigestFunction::Sha256 { unsized_digest(&digest.hash()).map(Self) } else { None }
    }

    /// Returns the digest together with the size that goes with it.
    pub fn with_size(&self, size: u64) -> Digest {
        Digest::parse(DigestFunction::Sha256, &self.0.hash(), size).expect("a hash is one")
    }

    /// Returns the hash in lower-case hexadecimal.
    pub fn hash(&self) -> String {
        self.0.hash()
    }
}

fn unsized_digest(hash: &str) -> Option<Digest> {
    Digest::parse(DigestFunction::Sha256, hash, 0).ok()
}

impl fmt::Display for OciDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0.hash())
    }
}

impl FromStr for OciDigest {
    type Err = OciDigestError;

    fn from_str(text: &str) -> Result<Self, OciDigestError> {
        let found = text.strip_prefix(PREFIX).and_then(unsized_digest);
        found.map(Self).ok_or_else(|| OciDigestError { text: shown(text) })
    }
}

impl TryFrom<String> for OciDigest {
    type Error = OciDigestError;

    fn try_from(text: String) -> Result<Self, OciDigestError> {
        text.parse()
    }
}

impl From<OciDigest> for String {
    fn from(digest: OciDigest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_sha_256_is_a_digest() {
        let good = OciDigest::of(b"x").to_string();
        assert_eq!(good.parse(), Ok(OciDigest::of(b"x")));
        let hash = &good[PREFIX.len()..];
        for bad in [
            hash.to_owned(),
            format!("sha512:{hash}{hash}"),
            good.to_uppercase(),
            format!("{good}0"),
            format!("blake3:{hash}"),
        ] {
            assert!(bad.parse::<OciDigest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_size_comes_and_goes() {
        let digest = DigestFunction::Sha256.digest(b"abc");
        let without = OciDigest::from_digest(&digest).expect("SHA-256");
        assert_eq!(without.with_size(3), digest);
        assert_eq!(without, OciDigest::of(b"abc"));
        assert_eq!(OciDigest::from_digest(&DigestFunction::Blake3.digest(b"abc")), None);
    }
}
