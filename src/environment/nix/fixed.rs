//! Fixed outputs: the content must have the hash that the derivation states.

use std::io::{self, Write};

use sha2::Digest as _;

use super::super::{Build, BuildError};
use crate::nix::{HashAlgorithm, HashMethod, NixHash, Output, OutputKind, PathInfo, write_nar};
use crate::store::{Node, StoreError, blocking};

/// Checks an output against the hash that it must have. Returns how its path follows from its content, if it does.
///
/// # Errors
/// The inner error says what is wrong with the output.
pub(super) async fn check(
    build: &Build<'_>,
    output: &Output,
    node: &Node,
    info: &PathInfo,
) -> Result<Result<Option<String>, String>, BuildError> {
    let OutputKind::Fixed { method, hash } = &output.kind else { return Ok(Ok(None)) };
    if let Some(reference) = info.references.first() {
        return Ok(Err(format!("a fixed output may not refer to anything, and it refers to `{reference}`")));
    }
    let Some(hasher) = Hashing::new(hash.algorithm()) else {
        return Ok(Err(format!("its hash is {}, which is not supported", hash.algorithm())));
    };
    let actual = match (method, node) {
        (HashMethod::Recursive, _) if hash.algorithm() == HashAlgorithm::Sha256 => info.nar_hash(),
        (HashMethod::Recursive, _) => {
            let written = write_nar(build.store, node.clone(), &build.nix.scratch, hasher).await;
            written.map_err(|source| BuildError::archive(build, &output.path, source))?.finish()
        }
        (HashMethod::Flat, Node::File { digest, executable: false }) => {
            let file = build.store.get_temporary(digest, &build.nix.scratch, "fixed output").await?;
            blocking(move || {
                let mut hasher = hasher;
                let mut content = std::fs::File::open(file.path()).map_err(StoreError::io("read", file.path()))?;
                io::copy(&mut content, &mut hasher).map_err(StoreError::io("read", file.path()))?;
                Ok::<_, StoreError>(hasher.finish())
            })
            .await?
        }
        (HashMethod::Flat, _) => {
            return Ok(Err("a flat fixed output must be a regular file that is not executable".to_owned()));
        }
    };
    if actual != *hash {
        return Ok(Err(format!("its hash is `{actual}`, and the derivation states `{hash}`")));
    }
    let recursive = if *method == HashMethod::Recursive { "r:" } else { "" };
    Ok(Ok(Some(format!("fixed:{recursive}{hash}"))))
}

/// A hash in the making.
enum Hashing {
    Sha1(Box<sha1_checked::Sha1>),
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
}

impl Hashing {
    /// Returns a hasher, unless the algorithm is one that nothing should be trusted to.
    fn new(algorithm: HashAlgorithm) -> Option<Self> {
        match algorithm {
            HashAlgorithm::Md5 => None,
            HashAlgorithm::Sha1 => Some(Self::Sha1(Box::default())),
            HashAlgorithm::Sha256 => Some(Self::Sha256(sha2::Sha256::new())),
            HashAlgorithm::Sha512 => Some(Self::Sha512(Box::default())),
        }
    }

    fn finish(self) -> NixHash {
        let hash = match self {
            Self::Sha1(hasher) => NixHash::new(HashAlgorithm::Sha1, &hasher.try_finalize().hash()[..]),
            Self::Sha256(hasher) => NixHash::new(HashAlgorithm::Sha256, &hasher.finalize()),
            Self::Sha512(hasher) => NixHash::new(HashAlgorithm::Sha512, &hasher.finalize()),
        };
        hash.expect("each algorithm makes hashes of its length")
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Sha1(hasher) => sha1_checked::Digest::update(&mut **hasher, bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
