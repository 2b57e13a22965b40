//! What a store knows of an object besides its content, and the text of it that is signed.

use std::collections::BTreeSet;

use super::base32;
use super::hash::{HashAlgorithm, NixHash};
use super::store_path::StorePath;
use crate::digest::{Digest, DigestFunction, HASH_LEN};

/// What is known of an object of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// SHA-256 and size of its archive.
    pub nar: Digest,
    /// The objects that it names, itself among them where it does.
    pub references: BTreeSet<StorePath>,
    /// How its path follows from its content, as `fixed:r:sha256:…`, where it does.
    pub content_address: Option<String>,
}

impl PathInfo {
    /// Returns the hash of the archive in base 32, without its algorithm.
    pub fn nar_hash_base32(&self) -> String {
        hash_base32(&self.nar)
    }

    /// Returns the hash of the archive.
    pub fn nar_hash(&self) -> NixHash {
        NixHash::new(HashAlgorithm::Sha256, &self.nar.to_bytes()[1..=HASH_LEN]).expect("a digest has a hash of SHA-256")
    }

    /// Returns the text that is signed for the object at a path.
    pub fn fingerprint(&self, path: &StorePath) -> String {
        let references: Vec<String> = self.references.iter().map(ToString::to_string).collect();
        format!("1;{path};{};{};{}", nar_hash(&self.nar), self.nar.size(), references.join(","))
    }
}

/// Returns the hash of an archive as Nix writes it.
pub(super) fn nar_hash(nar: &Digest) -> String {
    format!("{}:{}", nar.function(), hash_base32(nar))
}

/// Returns the hash of a digest in base 32.
pub(super) fn hash_base32(digest: &Digest) -> String {
    base32::encode(&digest.to_bytes()[1..=HASH_LEN])
}

/// Returns the digest of an archive of that SHA-256 and size.
pub(super) fn nar_digest_of(hash: [u8; HASH_LEN], size: u64) -> Digest {
    let hash = const_hex::encode(hash);
    Digest::parse(DigestFunction::Sha256, &hash, size).expect("as long as a hash, and hexadecimal")
}
