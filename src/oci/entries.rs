//! A root file system as a flat list, for those who make it on a disk.

use std::collections::HashMap;
use std::sync::Arc;

use super::attributes::{Attributes, Metadata, Special};
use super::layer::LayerError;
use super::tree::{Branch, Child, Content, DIRECTORY_MODE, Leaf, join};
use crate::digest::Digest;
use crate::store::Listing;

/// What stands at a path of a root file system, with all that it is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path, empty for the root.
    pub path: String,
    /// What it is.
    pub content: EntryContent,
    /// The twelve bits of its mode.
    pub mode: u16,
    /// Owner, time and extended attributes.
    pub metadata: Metadata,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryContent {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its bytes.
        digest: Digest,
        /// The first path of the same file, where this is another one.
        link: Option<String>,
    },
    /// A symlink.
    Symlink {
        /// Where it points.
        target: String,
    },
    /// A device or a fifo.
    Special(Special),
}

/// Returns everything in a root file system. A directory stands before what it contains, and the first path of a file
/// before the others.
///
/// # Errors
/// `Attributes` when tree and attributes do not fit together, or are those of a layer with something to hide.
pub fn root_file_system(listing: &Listing, attributes: &Attributes) -> Result<Vec<Entry>, LayerError> {
    let root = Branch::join(listing, attributes)?;
    let mut flat = Flat { entries: Vec::with_capacity(listing.files.len()), names: HashMap::new() };
    flat.directory(&root, "")?;
    Ok(flat.entries)
}

struct Flat {
    entries: Vec<Entry>,
    /// The first path of each file, by the place of its leaf in memory.
    names: HashMap<usize, String>,
}

impl Flat {
    fn directory(&mut self, branch: &Branch, path: &str) -> Result<(), LayerError> {
        // Layers may say nothing of the root itself.
        if branch.opaque || !branch.whiteouts.is_empty() || (branch.metadata.is_none() && !path.is_empty()) {
            return Err(LayerError::attributes(path)("a root file system hides nothing and implies nothing"));
        }
        let metadata = branch.metadata.clone().unwrap_or_default();
        let mode = metadata.mode.unwrap_or(DIRECTORY_MODE);
        self.entries.push(Entry { path: path.to_owned(), content: EntryContent::Directory, mode, metadata });
        for (name, child) in &branch.entries {
            let path = join(path, name);
            match child {
                Child::Directory(inner) => self.directory(inner, &path)?,
                Child::Leaf(leaf) => self.leaf(leaf, path),
            }
        }
        Ok(())
    }

    fn leaf(&mut self, leaf: &Arc<Leaf>, path: String) {
        let content = match &leaf.content {
            Content::Special(special) => EntryContent::Special(*special),
            Content::Symlink { target } => EntryContent::Symlink { target: target.clone() },
            Content::File { digest, .. } => {
                let first = self.names.entry(Arc::as_ptr(leaf).addr()).or_insert_with(|| path.clone());
                let link = (*first != path).then(|| first.clone());
                EntryContent::File { digest: *digest, link }
            }
        };
        let mode = leaf.metadata.mode.unwrap_or_else(|| leaf.content.default_mode());
        self.entries.push(Entry { path, content, mode, metadata: leaf.metadata.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestFunction;
    use crate::oci::Exception;
    use crate::spec::RelativePath;
    use crate::store::ListedFile;

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    fn listing() -> Listing {
        let file = |path: &str| ListedFile { path: path.into(), digest: FUNCTION.digest(b"x"), executable: false };
        Listing {
            directories: vec!["etc".into()],
            files: vec![file("a"), file("etc/b"), file("etc/c")],
            symlinks: vec![("etc/z".into(), "/a".into())],
            directory_blobs: Vec::new(),
        }
    }

    fn attributes(exceptions: Vec<(&str, Exception)>) -> Attributes {
        let parsed = |path: &str| RelativePath::parse(path).expect("good");
        Attributes { exceptions: exceptions.into_iter().map(|(path, it)| (parsed(path), it)).collect() }
    }

    #[test]
    fn every_entry_has_its_mode_and_later_names_of_a_file_the_first_one() {
        let metadata = Metadata { mode: Some(0o600), uid: 7, ..Metadata::default() };
        let target = RelativePath::parse("a").expect("good");
        let exceptions = vec![
            ("a", Exception::Node(metadata.clone())),
            ("etc/c", Exception::HardLink { target }),
            ("etc/p", Exception::Special(Special::Fifo, Metadata::default())),
        ];
        let entries = root_file_system(&listing(), &attributes(exceptions)).expect("fits");
        let modes: Vec<(&str, u16)> = entries.iter().map(|entry| (entry.path.as_str(), entry.mode)).collect();
        let expected = [
            ("", 0o755),
            ("a", 0o600),
            ("etc", 0o755),
            ("etc/b", 0o644),
            ("etc/c", 0o600),
            ("etc/p", 0o644),
            ("etc/z", 0o777),
        ];
        assert_eq!(modes, expected);
        assert!(matches!(&entries[4].content, EntryContent::File { link: Some(first), .. } if first == "a"));
        assert!(matches!(&entries[3].content, EntryContent::File { link: None, .. }));
        assert_eq!(entries[4].metadata, metadata);
    }

    #[test]
    fn what_hides_something_is_no_root_file_system() {
        for (path, exception) in [
            ("gone", Exception::Whiteout),
            ("etc", Exception::Opaque(Metadata::default())),
            ("etc", Exception::Implied { opaque: false }),
        ] {
            let error = root_file_system(&listing(), &attributes(vec![(path, exception)]));
            assert!(matches!(error, Err(LayerError::Attributes { .. })), "{path}: {error:?}");
        }
    }
}
