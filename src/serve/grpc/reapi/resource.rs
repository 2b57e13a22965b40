//! The names of blobs in ByteStream.
//!
//! ```text
//! [INSTANCE/]blobs/[blake3/]HASH/SIZE[/…]                 to read
//! [INSTANCE/]uploads/UUID/blobs/[blake3/]HASH/SIZE[/…]    to write
//! ```

use tonic::Status;

use crate::digest::{Digest, DigestError, DigestFunction};

/// A blob of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    /// The instance.
    pub(super) instance: String,
    /// The blob.
    pub(super) digest: Digest,
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
    /// It asks for compressed bytes.
    #[error("resource name `{name}` asks for compression, and no compressor is offered")]
    Compressed {
        /// The name, cut to a readable length.
        name: String,
    },
    /// The hash in it is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl From<ResourceError> for Status {
    fn from(error: ResourceError) -> Self {
        match error {
            ResourceError::Compressed { .. } => Self::unimplemented(error.to_string()),
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
        let form = "[INSTANCE/]blobs/[blake3/]HASH/SIZE";
        let (instance, rest) = split(name).ok_or_else(|| bad(name, form))?;
        Ok(Self { instance, digest: blob(name, form, &rest)? })
    }

    /// Reads the name of a blob to write.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn to_write(name: &str) -> Result<Self, ResourceError> {
        let form = "[INSTANCE/]uploads/UUID/blobs/[blake3/]HASH/SIZE";
        let (instance, rest) = split(name).ok_or_else(|| bad(name, form))?;
        match rest.as_slice() {
            ["uploads", uuid, rest @ ..] if !uuid.is_empty() => Ok(Self { instance, digest: blob(name, form, rest)? }),
            _ => Err(bad(name, form)),
        }
    }
}

/// Splits a name before the first word of the protocol; none can be part of an instance name.
fn split(name: &str) -> Option<(String, Vec<&str>)> {
    let segments: Vec<&str> = name.split('/').collect();
    let at = segments.iter().position(|segment| ["blobs", "compressed-blobs", "uploads"].contains(segment))?;
    Some((segments[..at].join("/"), segments[at..].to_vec()))
}

/// Reads the part from `blobs` on. What follows the size is the client's own.
fn blob(name: &str, form: &'static str, segments: &[&str]) -> Result<Digest, ResourceError> {
    let (function, hash, size) = match segments {
        ["compressed-blobs", ..] => return Err(ResourceError::Compressed { name: shown(name) }),
        ["blobs", "blake3", hash, size, ..] => (DigestFunction::Blake3, hash, size),
        ["blobs", hash, size, ..] => (DigestFunction::Sha256, hash, size),
        _ => return Err(bad(name, form)),
    };
    let decimal = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
    let size = size.parse::<i64>().ok().filter(|_| decimal).and_then(|size| u64::try_from(size).ok());
    Ok(Digest::parse(function, hash, size.ok_or_else(|| bad(name, form))?)?)
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

    #[test]
    fn names_are_read_with_and_without_instance_and_function() {
        let (sha, blake) = (digest(DigestFunction::Sha256), digest(DigestFunction::Blake3));
        for instance in ["", "main", "a/b"] {
            let prefix = if instance.is_empty() { String::new() } else { format!("{instance}/") };
            let read = Resource::to_read(&format!("{prefix}blobs/{sha}")).unwrap();
            assert_eq!(read, Resource { instance: instance.into(), digest: sha });
            let read = Resource::to_read(&format!("{prefix}blobs/blake3/{blake}")).unwrap();
            assert_eq!(read, Resource { instance: instance.into(), digest: blake });
            let write = Resource::to_write(&format!("{prefix}uploads/u-u/blobs/{sha}/file name/x")).unwrap();
            assert_eq!(write, Resource { instance: instance.into(), digest: sha });
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
    fn compression_is_named_as_what_is_not_offered() {
        let name = format!("compressed-blobs/zstd/{}", digest(DigestFunction::Sha256));
        assert!(matches!(Resource::to_read(&name), Err(ResourceError::Compressed { .. })));
        let write = format!("uploads/u/{name}");
        assert!(matches!(Resource::to_write(&write), Err(ResourceError::Compressed { .. })));
    }
}
