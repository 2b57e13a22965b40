//! Digests: the hash and the size by which every blob is named.
//!
//! The lowest floor. A digest carries its function, so no code has to guess
//! which one a conversation uses. No I/O here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// Length in bytes of a hash of every function offered.
pub const HASH_LEN: usize = 32;
/// Length in bytes of the binary form of a digest.
pub const DIGEST_LEN: usize = 1 + HASH_LEN + 8;

/// A hash function by which blobs are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DigestFunction {
    /// SHA-256, which every remote-execution endpoint knows.
    Sha256,
    /// BLAKE3, several times faster on large blobs.
    Blake3,
}

impl DigestFunction {
    /// Every function, the preferred one first.
    pub const ALL: [Self; 2] = [Self::Blake3, Self::Sha256];

    /// Returns the name used in paths and resource names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
        }
    }

    /// Returns the number that the REAPI gives to the function.
    fn number(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Blake3 => 9,
        }
    }

    /// Returns the digest of bytes held in memory.
    pub fn digest(self, bytes: &[u8]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Returns a hasher to be fed piece by piece.
    pub fn hasher(self) -> Hasher {
        let state = match self {
            Self::Sha256 => State::Sha256(sha2::Sha256::new()),
            Self::Blake3 => State::Blake3(Box::new(blake3::Hasher::new())),
        };
        Hasher { state, size: 0 }
    }

    /// Returns the digest of the blob of length zero.
    pub fn empty(self) -> Digest {
        self.digest(b"")
    }
}

impl fmt::Display for DigestFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a blob: function, hash and size in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    function: DigestFunction,
    hash: [u8; HASH_LEN],
    size: u64,
}

impl Digest {
    /// Returns a digest from its lower-case hexadecimal hash and its size.
    ///
    /// # Errors
    /// When the hash is not 64 lower-case hexadecimal digits.
    pub fn parse(function: DigestFunction, hash: &str, size: u64) -> Result<Self, DigestError> {
        let bad = || DigestError::Hash { function, text: hash.chars().take(80).collect() };
        // The decoder would take upper case, and `0x` in front.
        if hash.len() != 2 * HASH_LEN || hash.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(bad());
        }
        let mut bytes = [0; HASH_LEN];
        const_hex::decode_to_slice(hash, &mut bytes).map_err(|_| bad())?;
        Ok(Self { function, hash: bytes, size })
    }

    /// Returns the function that made the hash.
    pub fn function(&self) -> DigestFunction {
        self.function
    }

    /// Returns the hash in lower-case hexadecimal.
    pub fn hash(&self) -> String {
        const_hex::encode(self.hash)
    }

    /// Returns the first byte of the hash.
    pub fn prefix(&self) -> u8 {
        self.hash[0]
    }

    /// Returns the size of the blob in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the binary form: the REAPI's number of the function, the hash, the size with its highest byte first.
    pub fn to_bytes(&self) -> [u8; DIGEST_LEN] {
        let mut bytes = [0; DIGEST_LEN];
        bytes[0] = self.function.number();
        bytes[1..=HASH_LEN].copy_from_slice(&self.hash);
        bytes[1 + HASH_LEN..].copy_from_slice(&self.size.to_be_bytes());
        bytes
    }

    /// Reads the binary form; anything else is `None`.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; DIGEST_LEN] = bytes.try_into().ok()?;
        let function = DigestFunction::ALL.into_iter().find(|function| function.number() == bytes[0])?;
        let (hash, size) = bytes[1..].split_at(HASH_LEN);
        Some(Self { function, hash: hash.try_into().ok()?, size: u64::from_be_bytes(size.try_into().ok()?) })
    }

    /// Says whether the bytes are those that the digest names.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.size && self.function.digest(bytes) == *self
    }
}

/// `HASH/SIZE`, as in resource names.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hash(), self.size)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.function)
    }
}

/// The text form is `FUNCTION:HASH/SIZE`.
impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let bad = || DigestError::Text { text: text.chars().take(100).collect() };
        let (function, rest) = text.split_once(':').ok_or_else(bad)?;
        let (hash, size) = rest.split_once('/').ok_or_else(bad)?;
        let function = DigestFunction::ALL.into_iter().find(|f| f.as_str() == function).ok_or_else(bad)?;
        Self::parse(function, hash, size.parse().map_err(|_| bad())?)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes a digest from pieces.
#[derive(Debug, Clone)]
pub struct Hasher {
    state: State,
    size: u64,
}

#[derive(Debug, Clone)]
enum State {
    Sha256(sha2::Sha256),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        match &mut self.state {
            State::Sha256(state) => state.update(bytes),
            State::Blake3(state) => {
                state.update(bytes);
            }
        }
    }

    /// Returns the number of bytes seen so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the digest of everything seen.
    pub fn finish(self) -> Digest {
        let (function, hash) = match self.state {
            State::Sha256(state) => (DigestFunction::Sha256, state.finalize().into()),
            State::Blake3(state) => (DigestFunction::Blake3, state.finalize().into()),
        };
        Digest { function, hash, size: self.size }
    }
}

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The hash has the wrong length or alphabet.
    #[error("`{text}` is not a {function} hash: 64 lower-case hexadecimal digits are expected")]
    Hash {
        /// The function it should be a hash of.
        function: DigestFunction,
        /// What was given, cut to a readable length.
        text: String,
    },
    /// The text is not of the form `FUNCTION:HASH/SIZE`.
    #[error("`{text}` is not a digest: `FUNCTION:HASH/SIZE` is expected")]
    Text {
        /// What was given, cut to a readable length.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes_of_the_empty_blob() {
        assert_eq!(
            DigestFunction::Sha256.empty().hash(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            DigestFunction::Blake3.empty().hash(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn pieces_give_the_digest_of_the_whole() {
        for function in DigestFunction::ALL {
            let mut hasher = function.hasher();
            hasher.update(b"hello ");
            hasher.update(b"world");
            assert_eq!(hasher.finish(), function.digest(b"hello world"));
        }
    }

    #[test]
    fn text_form_round_trips() {
        let digest = DigestFunction::Blake3.digest(b"x");
        assert_eq!(format!("{digest:?}").parse(), Ok(digest));
    }

    #[test]
    fn false_hashes_are_refused() {
        let good = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for bad in [
            &good[1..],
            &good.to_uppercase(),
            "",
            "../../etc/passwd",
            &good.replace('e', "g"),
            &format!("0x{good}"),
            &format!("0x{}", &good[2..]),
        ] {
            assert!(Digest::parse(DigestFunction::Sha256, bad, 0).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_size_does_not_match() {
        let digest = DigestFunction::Sha256.digest(b"abc");
        let lied = Digest::parse(DigestFunction::Sha256, &digest.hash(), 4).expect("well formed");
        assert!(digest.matches(b"abc") && !lied.matches(b"abc"));
    }
}
