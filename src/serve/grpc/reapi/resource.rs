//! The names of blobs in ByteStream.
//!
//! ```text
//! [INSTANCE/]blobs/[blake3/]HASH/SIZE[/…]                 to read
//! [INSTANCE/]uploads/UUID/blobs/[blake3/]HASH/SIZE[/…]    to write
//! ```
//!
//! With `compressed-blobs/zstd` for `blobs`, what travels is compressed; hash and size are still the blob's.

use tonic::Status;

use super::compression::Compressor;
use crate::digest::{Digest, DigestError, DigestFunction};

/// Longest name taken: room for any path that a client may append.
const MAX_NAME: usize = 8 << 10;
/// Words of the protocol, none of which can be part of an instance name.
const WORDS: [&str; 3] = ["blobs", "compressed-blobs", "uploads"];
const READ_FORM: &str = "[INSTANCE/](blobs|compressed-blobs/zstd)/[blake3/]HASH/SIZE";
const WRITE_FORM: &str = "[INSTANCE/]uploads/UUID/(blobs|compressed-blobs/zstd)/[blake3/]HASH/SIZE";

/// A blob of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    /// The instance.
    pub(super) instance: String,
    /// The blob.
    pub(super) digest: Digest,
    /// How its bytes travel.
    pub(super) compressor: Compressor,
}

/// Why a text names no blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResourceError {
    /// It has another form.
    #[error("resource name `{name}` is not of the form `{form}`")]
    Form {
        /// The name, cut to a readable length.
        name: String,
        /// The form expected.
        form: &'static str,
    },
    /// It asks for a compressor that is not offered.
    #[error("compressor `{compressor}` is not offered; zstd is")]
    Compressor {
        /// The compressor, cut to a readable length.
        compressor: String,
    },
    /// The hash in it is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl From<ResourceError> for Status {
    fn from(error: ResourceError) -> Self {
        match error {
            ResourceError::Compressor { .. } => Self::unimplemented(error.to_string()),
            ResourceError::Form { .. } | ResourceError::Digest(_) => Self::invalid_argument(error.to_string()),
        }
    }
}

impl Resource {
    /// Reads the name of a blob to read.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn to_read(name: &str) -> Result<Self, ResourceError> {
        let (instance, rest) = split(name).ok_or_else(|| bad(name, READ_FORM))?;
        Self::parse(instance, name, READ_FORM, &rest)
    }

    /// Reads the name of a blob to write.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn to_write(name: &str) -> Result<Self, ResourceError> {
        let (instance, rest) = split(name).ok_or_else(|| bad(name, WRITE_FORM))?;
        match rest.as_slice() {
            ["uploads", uuid, rest @ ..] if !uuid.is_empty() => Self::parse(instance, name, WRITE_FORM, rest),
            _ => Err(bad(name, WRITE_FORM)),
        }
    }

    /// Reads the part from `blobs` on. What follows the size is the client's own.
    fn parse(instance: String, name: &str, form: &'static str, segments: &[&str]) -> Result<Self, ResourceError> {
        let (compressor, rest) = match segments {
            ["blobs", rest @ ..] => (Compressor::Identity, rest),
            ["compressed-blobs", "zstd", rest @ ..] => (Compressor::Zstd, rest),
            ["compressed-blobs", other, ..] => return Err(ResourceError::Compressor { compressor: shown(other) }),
            _ => return Err(bad(name, form)),
        };
        let (function, hash, size) = match rest {
            ["blake3", hash, size, ..] => (DigestFunction::Blake3, hash, size),
            [hash, size, ..] => (DigestFunction::Sha256, hash, size),
            _ => return Err(bad(name, form)),
        };
        let decimal = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
        let size = size.parse::<i64>().ok().filter(|_| decimal).and_then(|size| u64::try_from(size).ok());
        let digest = Digest::parse(function, hash, size.ok_or_else(|| bad(name, form))?)?;
        Ok(Self { instance, digest, compressor })
    }
}

/// Splits a name before the first word of the protocol.
fn split(name: &str) -> Option<(String, Vec<&str>)> {
    if name.len() > MAX_NAME {
        return None;
    }
    let segments: Vec<&str> = name.split('/').collect();
    let at = segments.iter().position(|segment| WORDS.contains(segment))?;
    Some((segments[..at].join("/"), segments[at..].to_vec()))
}

fn bad(name: &str, form: &'static str) -> ResourceError {
    ResourceError::Form { name: shown(name), form }
}

fn shown(name: &str) -> String {
    name.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(function: DigestFunction) -> Digest {
        function.digest(b"x")
    }

    fn plain(instance: &str, digest: Digest) -> Resource {
        Resource { instance: instance.to_owned(), digest, compressor: Compressor::Identity }
    }

    #[test]
    fn names_are_read_with_and_without_instance_and_function() {
        let (sha, blake) = (digest(DigestFunction::Sha256), digest(DigestFunction::Blake3));
        for instance in ["", "main", "a/b"] {
            let prefix = if instance.is_empty() { String::new() } else { format!("{instance}/") };
            let read = Resource::to_read(&format!("{prefix}blobs/{sha}")).unwrap();
            assert_eq!(read, plain(instance, sha));
            let read = Resource::to_read(&format!("{prefix}blobs/blake3/{blake}")).unwrap();
            assert_eq!(read, plain(instance, blake));
            let write = Resource::to_write(&format!("{prefix}uploads/u-u/blobs/{sha}/file name/x")).unwrap();
            assert_eq!(write, plain(instance, sha));
        }
    }

    #[test]
    fn a_word_of_the_protocol_is_no_part_of_an_instance() {
        let sha = digest(DigestFunction::Sha256);
        for name in [format!("a/blobs/b/blobs/{sha}"), format!("blobs/blobs/{sha}"), format!("uploads/blobs/{sha}")] {
            assert!(Resource::to_write(&name).is_err(), "{name}");
        }
        assert!(Resource::to_read(&format!("a/blobs/b/blobs/{sha}")).is_err());
        assert!(Resource::to_read(&format!("blobs/blobs/{sha}")).is_err());
    }

    #[test]
    fn hostile_names_are_refused() {
        let hash = digest(DigestFunction::Sha256).hash();
        let bad = [
            String::new(),
            "blobs".into(),
            "/".repeat(10_000),
            format!("blobs/{hash}"),
            format!("blobs/{hash}/"),
            format!("blobs/{hash}/-1"),
            format!("blobs/{hash}/+1"),
            format!("blobs/{hash}/1e3"),
            format!("blobs/{hash}/99999999999999999999"),
            format!("blobs/{}/1", hash.to_uppercase()),
            format!("blobs/sha256/{hash}/1"),
            format!("blobs/md5/{hash}/1"),
            "blobs/../../../etc/passwd/1".into(),
            format!("blobs/{}/1", "é".repeat(32)),
            format!("uploads//blobs/{hash}/1"),
            format!("uploads/u/{hash}/1"),
        ];
        for name in bad {
            assert!(Resource::to_read(&name).is_err() && Resource::to_write(&name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_compressor_stands_before_the_function() {
        let (sha, blake) = (digest(DigestFunction::Sha256), digest(DigestFunction::Blake3));
        for (name, digest) in [(format!("zstd/{sha}"), sha), (format!("zstd/blake3/{blake}"), blake)] {
            let expected = Resource { compressor: Compressor::Zstd, ..plain("a", digest) };
            assert_eq!(Resource::to_read(&format!("a/compressed-blobs/{name}")), Ok(expected.clone()));
            assert_eq!(Resource::to_write(&format!("a/uploads/u/compressed-blobs/{name}")), Ok(expected));
        }
        for other in ["deflate", "brotli", "identity", "", "ZSTD"] {
            let name = format!("compressed-blobs/{other}/{sha}");
            assert!(matches!(Resource::to_read(&name), Err(ResourceError::Compressor { .. })), "{name}");
        }
        assert!(matches!(Resource::to_read("compressed-blobs/zstd"), Err(ResourceError::Form { .. })));
    }

    #[test]
    fn overlong_names_are_refused() {
        let name = format!("blobs/{}/", digest(DigestFunction::Sha256));
        assert!(Resource::to_read(&format!("{name}{}", "x".repeat(8000))).is_ok());
        assert!(Resource::to_read(&format!("{name}{}", "x".repeat(9000))).is_err());
    }
}
