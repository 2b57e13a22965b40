//! What a layer has that a Directory cannot say: owners, modes, times, extended attributes, hard links, devices,
//! whiteouts.
//!
//! A document beside the root Directory lists the exceptions by path; what it does not name has the defaults: root as
//! owner and group, mode 0755 or 0644 by the executable bit, 0755 for directories, second 0 of 1970. Its bytes are
//! canonical: one layer has one document. Whether it fits to a tree is checked where both are joined, in `tree.rs`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::spec::{RelativePath, SpecError, json, shown};

#[cfg(test)]
mod tests;

/// The version of the form of documents.
const VERSION: u32 = 1;
/// Most bytes of a document.
pub const MAX_ATTRIBUTES_BYTES: usize = 256 << 20;
/// Largest mode: the permissions, set-user-id, set-group-id and the sticky bit.
const MAX_MODE: u16 = 0o7777;
/// Largest time that canonical JSON holds exactly.
pub(super) const MAX_TIME: u64 = (1 << 53) - 1;
/// Largest numbers of a device on Linux.
const MAX_MAJOR: u32 = 0xfff;
const MAX_MINOR: u32 = 0xf_ffff;
/// Longest name and value of an extended attribute on Linux.
const MAX_XATTR_NAME: usize = 255;
const MAX_XATTR_VALUE: usize = 64 << 10;

/// The exceptions of a layer by path.
///
/// The root of the tree is special: a layer says nothing of it unless an exception, which may be an empty one, stands
/// at the empty path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// What differs from the defaults, and where.
    pub exceptions: BTreeMap<RelativePath, Exception>,
}

/// Owner, mode, time and extended attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The twelve bits of the mode; none are those that the tree implies.
    pub mode: Option<u16>,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The second of 1970 at which it was changed.
    pub mtime: u64,
    /// Extended attributes: `security.capability` and those that begin with `user.`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// How a path differs from what the tree says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exception {
    /// Something in the tree has other attributes than the default ones.
    Node(Metadata),
    /// A directory of the tree hides what lower layers have in it.
    Opaque(Metadata),
    /// A directory of the tree is there for what it contains; lower layers say what it is like.
    Implied {
        /// Whether it hides what lower layers have in it.
        opaque: bool,
    },
    /// The file is one with another one of the tree, whose path comes before it.
    HardLink {
        /// The other path.
        target: RelativePath,
    },
    /// A device or a fifo, which the tree does not have.
    Special(Special, Metadata),
    /// Lower layers' entry of that path is gone. The tree has none.
    Whiteout,
}

/// What stands in a root file system and is no file, directory or symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// A character device.
    Char {
        /// Its driver.
        major: u32,
        /// Which of the driver's.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Its driver.
        major: u32,
        /// Which of the driver's.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Why bytes are no attributes of a layer.
#[derive(Debug, thiserror::Error)]
pub enum AttributesError {
    /// They are longer than anyone needs.
    #[error("attributes of {size} bytes are longer than {MAX_ATTRIBUTES_BYTES}")]
    TooLarge {
        /// The bytes.
        size: usize,
    },
    /// They are no JSON.
    #[error("the attributes of a layer are not JSON")]
    Json {
        /// What is wrong.
        #[source]
        source: Box<SpecError>,
    },
    /// A field is missing, unknown, or of another type.
    #[error("the attributes of a layer have not the fields that they need")]
    Malformed {
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The form is of another version.
    #[error("the attributes of a layer are of version {found}; {VERSION} is known")]
    Version {
        /// The version.
        found: u32,
    },
    /// A path has attributes that do not go together, or exceed what Linux has.
    #[error("`{path}` cannot have such attributes: {what}")]
    Exception {
        /// The path, cut to a readable length.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// They are not written in the one form that they have.
    #[error("the attributes of a layer are not in canonical form")]
    NotCanonical,
}

/// The form of the document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    exceptions: BTreeMap<String, Fields>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is: Option<Is>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<RelativePath>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    opaque: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<u16>,
    #[serde(default, skip_serializing_if = "is_zero")]
    uid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    gid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    mtime: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Is {
    Implied,
    Link,
    Char,
    Block,
    Fifo,
    Whiteout,
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Attributes {
    /// Returns the bytes that are stored (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        let exceptions = self.exceptions.iter().map(|(path, exception)| (path.to_string(), Fields::of(exception)));
        json::canonical(&Form { version: VERSION, exceptions: exceptions.collect() })
    }

    /// Returns the attributes that stored bytes state.
    ///
    /// # Errors
    /// When they are not exactly what `canonical` writes, or state what no file can have.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttributesError> {
        if bytes.len() > MAX_ATTRIBUTES_BYTES {
            return Err(AttributesError::TooLarge { size: bytes.len() });
        }
        let json = json::parse("attributes", bytes);
        let value = json.map_err(|source| AttributesError::Json { source: Box::new(source) })?;
        let form: Form = serde_json::from_value(value).map_err(|source| AttributesError::Malformed { source })?;
        if form.version != VERSION {
            return Err(AttributesError::Version { found: form.version });
        }
        let mut exceptions = BTreeMap::new();
        for (text, fields) in form.exceptions {
            let wrong = |what| AttributesError::Exception { path: shown(&text), what };
            let path = RelativePath::parse(&text).map_err(|_| wrong("the path is not relative and normal"))?;
            let exception = fields.read().map_err(wrong)?;
            exception.check().map_err(wrong)?;
            exceptions.insert(path, exception);
        }
        let attributes = Self { exceptions };
        if attributes.canonical() == bytes { Ok(attributes) } else { Err(AttributesError::NotCanonical) }
    }
}

impl Exception {
    fn metadata(&self) -> Option<&Metadata> {
        match self {
            Self::Node(metadata) | Self::Opaque(metadata) | Self::Special(_, metadata) => Some(metadata),
            Self::Implied { .. } | Self::HardLink { .. } | Self::Whiteout => None,
        }
    }

    /// Checks that Linux has such things, and says what it has not.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if let Self::Special(Special::Char { major, minor } | Special::Block { major, minor }, _) = self
            && (*major > MAX_MAJOR || *minor > MAX_MINOR)
        {
            return Err("the numbers of the device are too large");
        }
        self.metadata().map_or(Ok(()), Metadata::check)
    }
}

impl Metadata {
    fn check(&self) -> Result<(), &'static str> {
        if self.mode.is_some_and(|mode| mode > MAX_MODE) {
            return Err("a mode has twelve bits");
        }
        if self.mtime > MAX_TIME {
            return Err("the time is too far away");
        }
        for (name, value) in &self.xattrs {
            if !kept_xattr(name.as_bytes()) {
                return Err("an extended attribute has a name that layers do not carry");
            }
            if value.len() > MAX_XATTR_VALUE {
                return Err("an extended attribute is longer than 64 KiB");
            }
        }
        Ok(())
    }
}

/// Says whether layers carry an extended attribute. Others belong to the host: labels, marks of file systems.
pub(super) fn kept_xattr(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let user = name.strip_prefix("user.").is_some_and(|rest| !rest.is_empty());
    // A PAX header has `=` after the name.
    (user || name == "security.capability") && name.len() <= MAX_XATTR_NAME && !name.contains(['=', '\0'])
}

impl Fields {
    fn of(exception: &Exception) -> Self {
        let bare = |is| Self { is: Some(is), ..Self::default() };
        match exception {
            Exception::Node(metadata) => Self::with(metadata),
            Exception::Opaque(metadata) => Self { opaque: true, ..Self::with(metadata) },
            Exception::Implied { opaque } => Self { opaque: *opaque, ..bare(Is::Implied) },
            Exception::HardLink { target } => Self { target: Some(target.clone()), ..bare(Is::Link) },
            Exception::Whiteout => bare(Is::Whiteout),
            Exception::Special(special, metadata) => {
                let (is, device) = match special {
                    Special::Char { major, minor } => (Is::Char, Some((*major, *minor))),
                    Special::Block { major, minor } => (Is::Block, Some((*major, *minor))),
                    Special::Fifo => (Is::Fifo, None),
                };
                Self { is: Some(is), device, ..Self::with(metadata) }
            }
        }
    }

    fn with(metadata: &Metadata) -> Self {
        let xattrs = metadata.xattrs.iter().map(|(name, value)| (name.clone(), BASE64_STANDARD.encode(value)));
        Self {
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            mtime: metadata.mtime,
            xattrs: xattrs.collect(),
            ..Self::default()
        }
    }

    /// Returns the exception. Fields that do not belong to it show when it is written again.
    fn read(self) -> Result<Exception, &'static str> {
        let decode = |(name, text): (String, String)| {
            let value = BASE64_STANDARD.decode(text).map(|value| (name, value));
            value.map_err(|_| "an extended attribute is not in base64")
        };
        let xattrs = self.xattrs.into_iter().map(decode).collect::<Result<_, _>>()?;
        let metadata = Metadata { mode: self.mode, uid: self.uid, gid: self.gid, mtime: self.mtime, xattrs };
        let device = self.device.ok_or("the numbers of the device are missing");
        Ok(match self.is {
            None if self.opaque => Exception::Opaque(metadata),
            None => Exception::Node(metadata),
            Some(Is::Implied) => Exception::Implied { opaque: self.opaque },
            Some(Is::Link) => Exception::HardLink { target: self.target.ok_or("the target of the link is missing")? },
            Some(Is::Char) => {
                device.map(|(major, minor)| Exception::Special(Special::Char { major, minor }, metadata))?
            }
            Some(Is::Block) => {
                device.map(|(major, minor)| Exception::Special(Special::Block { major, minor }, metadata))?
            }
            Some(Is::Fifo) => Exception::Special(Special::Fifo, metadata),
            Some(Is::Whiteout) => Exception::Whiteout,
        })
    }
}
