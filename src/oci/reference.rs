//! References: how people name an image. Only a digest fixes one; a tag may name another image tomorrow.

use std::fmt;
use std::str::FromStr;

use super::digest::OciDigest;
use crate::spec::shown;

/// Longest name with its registry.
const MAX_NAME: usize = 255;
/// Longest tag.
const MAX_TAG: usize = 128;

/// `[REGISTRY/]NAME[:TAG][@sha256:HASH]`. No registry and no tag is put in where none is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The host of the registry, with its port if any.
    pub registry: Option<String>,
    /// The name in the registry: lower-case components with slashes between them.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
    /// The manifest or index that is meant.
    pub digest: Option<OciDigest>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The part before tag and digest is no name.
    #[error("`{name}` is not the name of an image: lower-case letters, digits and single separators are expected")]
    Name {
        /// What was given, cut to a readable length.
        name: String,
    },
    /// The host of the registry is none.
    #[error("`{registry}` is not a registry: HOST or HOST:PORT is expected")]
    Registry {
        /// What was given, cut to a readable length.
        registry: String,
    },
    /// The tag has other characters than tags have.
    #[error("`{tag}` is not a tag: at most 128 letters, digits, `_`, `.` and `-` are expected, no `.` or `-` in front")]
    Tag {
        /// What was given, cut to a readable length.
        tag: String,
    },
    /// The digest is none.
    #[error("a reference has no digest after its `@`")]
    Digest {
        /// What is wrong.
        #[source]
        source: super::digest::OciDigestError,
    },
}

impl Reference {
    /// Says whether the reference names one image for ever.
    pub fn is_pinned(&self) -> bool {
        self.digest.is_some()
    }

    /// Returns the reference to a digest, which is what to write instead of one that is not pinned.
    #[must_use]
    pub fn pinned(&self, digest: OciDigest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (named, digest) = match text.split_once('@') {
            None => (text, None),
            Some((named, digest)) => (named, Some(digest.parse().map_err(|source| ReferenceError::Digest { source })?)),
        };
        // A colon before a slash belongs to a port.
        let (name, tag) = match named.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (named, None),
        };
        if let Some(tag) = tag.filter(|tag| !valid_tag(tag)) {
            return Err(ReferenceError::Tag { tag: shown(tag) });
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
            _ => (None, name),
        };
        if let Some(registry) = registry.filter(|registry| !valid_registry(registry)) {
            return Err(ReferenceError::Registry { registry: shown(registry) });
        }
        if name.len() > MAX_NAME || !valid_repository(repository) {
            return Err(ReferenceError::Name { name: shown(name) });
        }
        let owned = str::to_owned;
        Ok(Self { registry: registry.map(owned), repository: owned(repository), tag: tag.map(owned), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

/// Says whether a text is the name of a repository in a registry.
pub fn valid_repository(name: &str) -> bool {
    name.len() <= MAX_NAME && name.split('/').all(valid_component)
}

/// Says whether a text is a tag.
pub fn valid_tag(tag: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    !tag.is_empty() && tag.len() <= MAX_TAG && tag.chars().all(allowed) && !tag.starts_with(['.', '-'])
}

/// Says whether a text is a host with a port or without: a name, an IPv4 address, or an IPv6 address in brackets.
fn valid_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            return address.parse::<std::net::Ipv6Addr>().is_ok()
                && (port.is_empty() || port.strip_prefix(':').is_some_and(valid_port));
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(allowed) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(valid_port)
}

fn valid_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Says whether a component is runs of letters and digits with `.`, `_`, `__` or dashes between them.
fn valid_component(component: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    component.starts_with(inner)
        && component.ends_with(inner)
        && component.split(inner).filter(|between| !between.is_empty()).all(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_found() {
        let digest = OciDigest::of(b"x");
        let parse = |text: &str| text.parse::<Reference>().expect(text);
        let parts = |text: &str| {
            let reference = parse(text);
            assert_eq!(reference.to_string(), text);
            (reference.registry, reference.repository, reference.tag, reference.digest)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("debian"), (None, "debian".into(), None, None));
        assert_eq!(parts("library/debian:12.1"), (None, "library/debian".into(), some("12.1"), None));
        let pinned = format!("registry.example:5000/a/b:latest@{digest}");
        assert_eq!(parts(&pinned), (some("registry.example:5000"), "a/b".into(), some("latest"), Some(digest)));
        assert_eq!(parts("localhost/a__b-c--d.e"), (some("localhost"), "a__b-c--d.e".into(), None, None));
        assert_eq!(parts("[::1]:5000/a"), (some("[::1]:5000"), "a".into(), None, None));
    }

    #[test]
    fn a_tag_alone_pins_nothing() {
        let tagged: Reference = "debian:12".parse().expect("valid");
        assert!(!tagged.is_pinned());
        let pinned = tagged.pinned(OciDigest::of(b"x"));
        assert!(pinned.is_pinned());
        assert_eq!(pinned.to_string(), format!("debian:12@{}", OciDigest::of(b"x")));
        assert_eq!(pinned.to_string().parse(), Ok(pinned));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let long = "a".repeat(MAX_NAME + 1);
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a_",
            "a___b",
            "a..b",
            "a._b",
            "../a",
            "a b",
            "é",
            "a:",
            "a:-x",
            "a:b/c:d:e",
            "a@",
            "a@sha256:0",
            "a@sha512:00",
            "bad_host.example/a",
            "host.example:0/a",
            "host.example:x/a",
            "-.example/a",
            "[::g]/a",
            ":5000/a",
            "a:\n",
            &format!("a:{}", "t".repeat(MAX_TAG + 1)),
            &long,
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
