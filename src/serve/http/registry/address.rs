//! What the paths of the registry name.

use crate::oci::{OciDigest, valid_repository, valid_tag};
use crate::spec::shown;

use super::error::RegistryError;

/// What a path below `/v2/` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// The registry itself.
    Base,
    /// A manifest.
    Manifest { name: &'a str, reference: Reference<'a> },
    /// A blob.
    Blob { name: &'a str, digest: OciDigest },
    /// The tags of a repository.
    Tags { name: &'a str },
    /// Where uploads to a repository begin.
    Uploads { name: &'a str },
    /// An upload that goes on.
    Upload { name: &'a str, id: &'a str },
}

/// By what a manifest is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    Tag(&'a str),
    Digest(OciDigest),
}

impl<'a> Address<'a> {
    /// Returns what a path names. Nothing is decoded: names and tags need no escapes.
    ///
    /// # Errors
    /// When it names nothing, or the name, tag or digest in it is none.
    pub(super) fn parse(path: &'a str) -> Result<Self, RegistryError> {
        if path.is_empty() {
            return Ok(Self::Base);
        }
        let (head, last) = path.rsplit_once('/').ok_or(RegistryError::Path)?;
        if let Some(name) = head.strip_suffix("/blobs/uploads") {
            let name = repository(name)?;
            return Ok(if last.is_empty() { Self::Uploads { name } } else { Self::Upload { name, id: last } });
        }
        if let Some(name) = head.strip_suffix("/blobs") {
            let name = repository(name)?;
            return match last {
                "uploads" => Ok(Self::Uploads { name }),
                digest => Ok(Self::Blob { name, digest: digest.parse()? }),
            };
        }
        if let Some(name) = head.strip_suffix("/manifests") {
            return Ok(Self::Manifest { name: repository(name)?, reference: Reference::parse(last)? });
        }
        match head.strip_suffix("/tags") {
            Some(name) if last == "list" => Ok(Self::Tags { name: repository(name)? }),
            _ => Err(RegistryError::Path),
        }
    }
}

impl<'a> Reference<'a> {
    fn parse(text: &'a str) -> Result<Self, RegistryError> {
        match text.contains(':') {
            true => Ok(Self::Digest(text.parse()?)),
            false if valid_tag(text) => Ok(Self::Tag(text)),
            false => Err(RegistryError::Tag { tag: shown(text) }),
        }
    }
}

fn repository(name: &str) -> Result<&str, RegistryError> {
    if valid_repository(name) { Ok(name) } else { Err(RegistryError::Name { name: shown(name) }) }
}

/// Returns the value of a field of a query, if it is there and can be read.
pub(super) fn field(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find(|(found, _)| *found == name).and_then(|(_, value)| decode(value))
}

/// Undoes the escapes of a query.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                const_hex::decode_to_array::<_, 1>(digits).ok()?[0]
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_names_one_thing() {
        let digest = OciDigest::of(b"x");
        fn parse(path: &str) -> Address<'_> {
            Address::parse(path).expect(path)
        }
        assert_eq!(parse(""), Address::Base);
        let name = "a/manifests/b";
        assert_eq!(parse("a/manifests/b/manifests/v1"), Address::Manifest { name, reference: Reference::Tag("v1") });
        let path = format!("a/manifests/{digest}");
        assert_eq!(parse(&path), Address::Manifest { name: "a", reference: Reference::Digest(digest) });
        let path = format!("a/blobs/{digest}");
        assert_eq!(parse(&path), Address::Blob { name: "a", digest });
        assert_eq!(parse("a/tags/list"), Address::Tags { name: "a" });
        for path in ["a/blobs/uploads", "a/blobs/uploads/"] {
            assert_eq!(parse(path), Address::Uploads { name: "a" });
        }
        assert_eq!(parse("a/blobs/uploads/1"), Address::Upload { name: "a", id: "1" });
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let digest = OciDigest::of(b"x");
        let long = "a".repeat(256);
        for name in ["", "A", "../a", "a/../b", "a//b", "a/", "%2fa", "a%2fb", "a b", "-a", &long] {
            for path in [format!("{name}/manifests/v1"), format!("{name}/blobs/{digest}"), format!("{name}/tags/list")]
            {
                assert!(matches!(Address::parse(&path), Err(RegistryError::Name { .. })), "{path}");
            }
        }
        for path in ["a", "a/b", "/manifests", "a/tags/x", "_catalog", "a/referrers/x", "blobs/uploads/"] {
            assert!(matches!(Address::parse(path), Err(RegistryError::Path)), "{path}");
        }
        for path in ["a/manifests/sha512:00", "a/blobs/x", "a/blobs/sha256:x", "a/manifests/sha256:"] {
            assert!(matches!(Address::parse(path), Err(RegistryError::Digest(_))), "{path}");
        }
        for path in ["a/manifests/-x", "a/manifests/", "a/manifests/%20"] {
            assert!(matches!(Address::parse(path), Err(RegistryError::Tag { .. })), "{path}");
        }
    }

    #[test]
    fn queries_are_read() {
        let query = Some("digest=sha256%3Aab&n=5&x=%zz&y=%e");
        assert_eq!(field(query, "digest").as_deref(), Some("sha256:ab"));
        assert_eq!(field(query, "n").as_deref(), Some("5"));
        assert_eq!(
            (field(query, "x"), field(query, "y"), field(query, "z"), field(None, "n")),
            (None, None, None, None)
        );
    }
}
