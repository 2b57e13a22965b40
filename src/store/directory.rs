//! One directory of a tree, as the REAPI's `Directory` message, checked.

use std::collections::BTreeMap;

use prost::Message;

use super::wire::{self, WireError};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::spec::valid_name;

/// Longest name of an entry, in bytes.
const MAX_NAME: usize = 255;
/// Longest target of a symlink, in bytes.
const MAX_TARGET: usize = 4096;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Its content.
        digest: Digest,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A directory.
    Directory {
        /// Its `Directory` blob.
        digest: Digest,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as written.
        target: String,
    },
}

/// The entries of a directory by name. Every name is one path component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    entries: BTreeMap<String, Node>,
}

impl Directory {
    /// Reads and checks a `Directory` blob.
    ///
    /// # Errors
    /// When it is no such message, or its names are unsafe, unsorted or not unique.
    pub fn parse(function: DigestFunction, bytes: &[u8]) -> Result<Self, DirectoryError> {
        let message = reapi::Directory::decode(bytes).map_err(DirectoryError::Decode)?;
        check_order(message.files.iter().map(|node| &node.name))?;
        check_order(message.directories.iter().map(|node| &node.name))?;
        check_order(message.symlinks.iter().map(|node| &node.name))?;
        let mut directory = Self::default();
        for node in message.files {
            let digest = wire::digest(function, "files.digest", node.digest.as_ref())?;
            directory.insert(node.name, Node::File { digest, executable: node.is_executable })?;
        }
        for node in message.directories {
            let digest = wire::digest(function, "directories.digest", node.digest.as_ref())?;
            directory.insert(node.name, Node::Directory { digest })?;
        }
        for node in message.symlinks {
            directory.insert(node.name, Node::Symlink { target: node.target })?;
        }
        Ok(directory)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// When the name is unsafe or taken, or the target of a link is empty or too long.
    pub fn insert(&mut self, name: String, node: Node) -> Result<(), DirectoryError> {
        check_name(&name)?;
        if let Node::Symlink { target } = &node
            && (target.is_empty() || target.contains('\0') || target.len() > MAX_TARGET)
        {
            return Err(DirectoryError::Target { name });
        }
        match self.entries.entry(name) {
            std::collections::btree_map::Entry::Occupied(taken) => {
                Err(DirectoryError::Duplicate { name: taken.key().clone() })
            }
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(node);
                Ok(())
            }
        }
    }

    /// Returns the entry of a name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entries.get(name)
    }

    /// Returns the entries in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.iter().map(|(name, node)| (name.as_str(), node))
    }

    /// Returns the digests of the subdirectories.
    pub fn subdirectories(&self) -> impl Iterator<Item = Digest> {
        self.entries.values().filter_map(|node| match node {
            Node::Directory { digest } => Some(*digest),
            Node::File { .. } | Node::Symlink { .. } => None,
        })
    }

    /// Returns the canonical `Directory` blob.
    pub fn encode(&self) -> Vec<u8> {
        let mut message = reapi::Directory::default();
        for (name, node) in &self.entries {
            let name = name.clone();
            match node {
                Node::File { digest, executable } => message.files.push(reapi::FileNode {
                    name,
                    digest: Some((*digest).into()),
                    is_executable: *executable,
                    node_properties: None,
                }),
                Node::Directory { digest } => {
                    message.directories.push(reapi::DirectoryNode { name, digest: Some((*digest).into()) });
                }
                Node::Symlink { target } => {
                    message.symlinks.push(reapi::SymlinkNode { name, target: target.clone(), node_properties: None })
                }
            }
        }
        message.encode_to_vec()
    }
}

/// Checks that a name is one path component, and no longer than file systems take.
///
/// # Errors
/// `Name` when it is not.
pub(crate) fn check_name(name: &str) -> Result<(), DirectoryError> {
    if valid_name(name) && name.len() <= MAX_NAME {
        return Ok(());
    }
    Err(DirectoryError::Name { name: name.chars().take(80).collect() })
}

fn check_order<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), DirectoryError> {
    let mut last: Option<&String> = None;
    for name in names {
        match last {
            Some(last) if last == name => return Err(DirectoryError::Duplicate { name: name.clone() }),
            Some(last) if last > name => return Err(DirectoryError::Order { name: name.clone() }),
            _ => last = Some(name),
        }
    }
    Ok(())
}

/// Why a blob is no usable Directory or Tree.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It is no such message.
    #[error("not the message it should be")]
    Decode(#[source] prost::DecodeError),
    /// A digest in it is malformed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A name is not one path component.
    #[error("`{name}` cannot be the name of an entry")]
    Name {
        /// The name, cut to a readable length.
        name: String,
    },
    /// Two entries have one name.
    #[error("two entries are named `{name}`")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The entries are not sorted.
    #[error("entry `{name}` is not in the order of names")]
    Order {
        /// The first name out of order.
        name: String,
    },
    /// The target of a symlink is empty or too long.
    #[error("symlink `{name}` has an empty or overlong target")]
    Target {
        /// The link.
        name: String,
    },
    /// A Tree does not hold all of its directories, or another root than it should.
    #[error("it does not hold the directory `{directory}`")]
    Incomplete {
        /// The directory.
        directory: Digest,
    },
    /// More entries or deeper than anyone needs.
    #[error("it has more than {limit} {what}")]
    TooLarge {
        /// The limit passed.
        limit: usize,
        /// What there is too much of.
        what: &'static str,
    },
    /// A symlink leads out of the tree.
    #[error("symlink `{path}` -> `{target}` leaves the tree")]
    Escapes {
        /// The link.
        path: String,
        /// Where it points.
        target: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    fn file() -> Node {
        Node::File { digest: FUNCTION.empty(), executable: false }
    }

    fn named(names: &[&str]) -> Vec<u8> {
        let files = names
            .iter()
            .map(|name| reapi::FileNode {
                name: (*name).into(),
                digest: Some(FUNCTION.empty().into()),
                ..Default::default()
            })
            .collect();
        reapi::Directory { files, ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn encoding_round_trips() {
        let mut directory = Directory::default();
        directory.insert("b".into(), file()).expect("free");
        directory.insert("a".into(), Node::Directory { digest: FUNCTION.empty() }).expect("free");
        directory.insert("c".into(), Node::Symlink { target: "b".into() }).expect("free");
        assert_eq!(Directory::parse(FUNCTION, &directory.encode()).expect("valid"), directory);
    }

    #[test]
    fn names_that_are_no_single_component_are_refused() {
        for name in ["..", ".", "", "a/b", "/", "a\0b", &"x".repeat(256)] {
            let error = Directory::parse(FUNCTION, &named(&[name])).expect_err(name);
            assert!(matches!(error, DirectoryError::Name { .. }), "{name}: {error:?}");
        }
    }

    #[test]
    fn unsorted_and_duplicate_names_are_refused() {
        assert!(matches!(Directory::parse(FUNCTION, &named(&["b", "a"])), Err(DirectoryError::Order { .. })));
        assert!(matches!(Directory::parse(FUNCTION, &named(&["a", "a"])), Err(DirectoryError::Duplicate { .. })));
        let mut both = reapi::Directory::decode(&*named(&["a"])).expect("valid");
        both.symlinks.push(reapi::SymlinkNode { name: "a".into(), target: "x".into(), ..Default::default() });
        let error = Directory::parse(FUNCTION, &both.encode_to_vec());
        assert!(matches!(error, Err(DirectoryError::Duplicate { .. })));
    }

    #[test]
    fn a_blob_that_is_no_directory_is_refused() {
        assert!(matches!(Directory::parse(FUNCTION, b"\xff\xff\xff"), Err(DirectoryError::Decode(_))));
    }
}
