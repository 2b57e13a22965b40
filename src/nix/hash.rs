//! Hashes as Nix writes them: an algorithm and bytes, in base 16, 32 or 64.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::base32;

/// A hash function that Nix names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// MD5, for old fixed outputs.
    Md5,
    /// SHA-1, for old fixed outputs.
    Sha1,
    /// SHA-256, in which stores are kept.
    Sha256,
    /// SHA-512, for fixed outputs.
    Sha512,
}

impl HashAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// Returns the name that stands before hashes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Returns the length of a hash in bytes.
    pub fn hash_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Returns the algorithm of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A hash and the algorithm that made it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NixHash {
    algorithm: HashAlgorithm,
    bytes: Vec<u8>,
}

/// Why a text is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// No algorithm stands before it, or one that is not known.
    #[error("`{text}` names no hash algorithm: {known} are known", known = "md5, sha1, sha256, sha512")]
    Algorithm {
        /// What was given, cut to a readable length.
        text: String,
    },
    /// It is no hash of the algorithm in any of the bases.
    #[error("`{text}` is not a {algorithm} hash in base 16, 32 or 64")]
    Text {
        /// The algorithm it should be of.
        algorithm: HashAlgorithm,
        /// What was given, cut to a readable length.
        text: String,
    },
}

impl NixHash {
    /// Returns the hash of so many bytes, or `None` when there are more or fewer than the algorithm makes.
    pub fn new(algorithm: HashAlgorithm, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == algorithm.hash_len()).then(|| Self { algorithm, bytes: bytes.to_vec() })
    }

    /// Reads a hash with its algorithm: `ALGORITHM:` and base 16, 32 or 64, or `ALGORITHM-` and base 64.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let unknown = || HashError::Algorithm { text: text.chars().take(160).collect() };
        let (at, separator) = text.char_indices().find(|(_, char)| ":-".contains(*char)).ok_or_else(unknown)?;
        let algorithm = HashAlgorithm::parse(&text[..at]).ok_or_else(unknown)?;
        let rest = &text[at + 1..];
        if separator == ':' {
            return Self::parse_bare(algorithm, rest);
        }
        Self::from_base64(algorithm, rest).ok_or_else(|| not_of(algorithm, rest))
    }

    /// Reads a hash without its algorithm; its length tells the base.
    ///
    /// # Errors
    /// When it is a hash of that algorithm in none.
    pub fn parse_bare(algorithm: HashAlgorithm, text: &str) -> Result<Self, HashError> {
        let bytes = if text.len() == 2 * algorithm.hash_len() {
            // The decoder would take upper case, and `0x` in front.
            let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            lower.then(|| const_hex::decode(text).ok()).flatten()
        } else if text.len() == base32::encoded_len(algorithm.hash_len()) {
            base32::decode(text).ok()
        } else {
            return Self::from_base64(algorithm, text).ok_or_else(|| not_of(algorithm, text));
        };
        bytes.and_then(|bytes| Self::new(algorithm, &bytes)).ok_or_else(|| not_of(algorithm, text))
    }

    fn from_base64(algorithm: HashAlgorithm, text: &str) -> Option<Self> {
        if text.len() != algorithm.hash_len().div_ceil(3) * 4 {
            return None;
        }
        Self::new(algorithm, &BASE64_STANDARD.decode(text).ok()?)
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes in lower-case hexadecimal.
    pub fn to_hex(&self) -> String {
        const_hex::encode(&self.bytes)
    }
}

fn not_of(algorithm: HashAlgorithm, text: &str) -> HashError {
    HashError::Text { algorithm, text: text.chars().take(160).collect() }
}

/// `ALGORITHM:` and base 32, as in a binary cache.
impl fmt::Display for NixHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, base32::encode(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::Nix;
    use super::*;

    #[test]
    fn every_base_is_read_as_nix_reads_it() {
        let nix = Nix::new();
        for algorithm in HashAlgorithm::ALL {
            let bytes: Vec<u8> =
                (0..algorithm.hash_len()).map(|index| u8::try_from(index * 7 % 256).expect("small")).collect();
            let hash = NixHash::new(algorithm, &bytes).expect("as long as it should be");
            let convert = |to: &str| nix.succeed("nix-hash", &["--type", algorithm.as_str(), to, &hash.to_hex()]);
            let bare = convert("--to-base32");
            assert_eq!(hash.to_string(), format!("{algorithm}:{bare}"));
            for text in [bare, hash.to_hex()] {
                assert_eq!(NixHash::parse(&format!("{algorithm}:{text}")), Ok(hash.clone()));
                assert_eq!(NixHash::parse_bare(algorithm, &text), Ok(hash.clone()));
            }
            let nix_command = ["--extra-experimental-features", "nix-command", "hash", "to-sri", "--type"];
            let sri = nix.succeed("nix", &[&nix_command[..], &[algorithm.as_str(), &hash.to_hex()]].concat());
            assert_eq!(NixHash::parse(&sri), Ok(hash.clone()));
            assert_eq!(NixHash::parse(&sri.replacen('-', ":", 1)), Ok(hash));
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let zeros = "0".repeat(64);
        for text in ["", "sha256", &zeros, &format!("sha3:{zeros}"), &format!("SHA256:{zeros}")] {
            assert!(matches!(NixHash::parse(text), Err(HashError::Algorithm { .. })), "{text}");
        }
        let upper = "A".repeat(64);
        for text in [&zeros[1..], "", &upper, &zeros.replacen("00", "0x", 1), &zeros.replace('0', "é")] {
            assert!(matches!(NixHash::parse(&format!("sha256:{text}")), Err(HashError::Text { .. })), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn no_text_makes_it_panic(text in "(md5|sha1|sha256|sha512)?[:-]?\\PC{0,140}") {
            if let Ok(hash) = NixHash::parse(&text) {
                prop_assert_eq!(NixHash::parse(&hash.to_string()), Ok(hash));
            }
        }
    }
}
