//! A root file system as a flat list, for those who make it on a disk.

use std::collections::HashMap;
use std::sync::Arc;

use super::attributes::{Attributes, Metadata, Special};
use super::layer::LayerError;
use super::tree::{Branch, Child, Content, DIRECTORY_MODE, Leaf, join};
use crate::digest::Digest;
use crate::spec::shown;
use crate::store::Listing;

/// What stands in the upper layer of an overlay for a name that is gone.
const WHITEOUT: Special = Special::Char { major: 0, minor: 0 };
/// What marks a directory there that hides what lower layers have in it.
const OPAQUE: (&str, &[u8]) = ("trusted.overlay.opaque", b"y");

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
    match root.hiding("") {
        Some(path) => Err(LayerError::attributes(&path)("a root file system hides nothing and implies nothing")),
        None => Ok(Flat::of(&root, listing)),
    }
}

/// Returns everything in the last of some layers, the lowest first, as the upper layer of an overlay has it: names that
/// are gone are devices 0:0, directories that hide what is below have an extended attribute, and those that are only
/// implied are like those below.
///
/// # Errors
/// When trees and attributes do not fit together, or layers do not fit over each other.
pub fn upper_layer(layers: &[(Listing, Attributes)]) -> Result<Vec<Entry>, LayerError> {
    let Some(((listing, attributes), below)) = layers.split_last() else { return Ok(Vec::new()) };
    let mut whole = Branch::default();
    for (listing, attributes) in below {
        whole.apply(Branch::join(listing, attributes)?, "")?;
    }
    let mut upper = Branch::join(listing, attributes)?;
    upper.inherit(Some(&whole), "")?;
    Ok(Flat::of(&upper, listing))
}

impl Branch {
    /// Returns the first directory that hides something, or is only implied. A layer may say nothing of the root itself.
    fn hiding(&self, path: &str) -> Option<String> {
        if self.opaque || !self.whiteouts.is_empty() || (self.metadata.is_none() && !path.is_empty()) {
            return Some(path.to_owned());
        }
        self.entries.iter().find_map(|(name, child)| match child {
            Child::Directory(inner) => inner.hiding(&join(path, name)),
            Child::Leaf(_) => None,
        })
    }

    /// Gives directories that are only implied the attributes of those that they lie over.
    fn inherit(&mut self, below: Option<&Self>, path: &str) -> Result<(), LayerError> {
        if self.metadata.is_none() {
            self.metadata = Some(below.and_then(|below| below.metadata.clone()).unwrap_or_default());
        }
        let below = below.filter(|_| !self.opaque);
        for (name, child) in &mut self.entries {
            let Child::Directory(inner) = child else { continue };
            let path = join(path, name);
            let below = match below.and_then(|below| below.entries.get(name)) {
                Some(Child::Directory(below)) => Some(below),
                Some(Child::Leaf(_)) if inner.metadata.is_none() => {
                    let what = "a layer below has something else there than a directory";
                    return Err(LayerError::Entry { path: shown(&path), what });
                }
                Some(Child::Leaf(_)) | None => None,
            };
            inner.inherit(below, &path)?;
        }
        Ok(())
    }
}

struct Flat {
    entries: Vec<Entry>,
    /// The first path of each file, by the place of its leaf in memory.
    names: HashMap<usize, String>,
}

impl Flat {
    fn of(root: &Branch, listing: &Listing) -> Vec<Entry> {
        let mut flat = Self { entries: Vec::with_capacity(listing.files.len()), names: HashMap::new() };
        flat.directory(root, "");
        flat.entries
    }

    fn directory(&mut self, branch: &Branch, path: &str) {
        let mut metadata = branch.metadata.clone().unwrap_or_default();
        if branch.opaque {
            metadata.xattrs.insert(OPAQUE.0.to_owned(), OPAQUE.1.to_vec());
        }
        let mode = metadata.mode.unwrap_or(DIRECTORY_MODE);
        self.entries.push(Entry { path: path.to_owned(), content: EntryContent::Directory, mode, metadata });
        for name in &branch.whiteouts {
            let (path, metadata) = (join(path, name), Metadata::default());
            self.entries.push(Entry { path, content: EntryContent::Special(WHITEOUT), mode: 0, metadata });
        }
        for (name, child) in &branch.entries {
            let path = join(path, name);
            match child {
                Child::Directory(inner) => self.directory(inner, &path),
                Child::Leaf(leaf) => self.leaf(leaf, path),
            }
        }
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
    use std::collections::BTreeMap;

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

    #[test]
    fn an_upper_layer_has_what_is_gone_and_hidden_in_the_way_of_overlays() {
        let closed = Metadata { mode: Some(0o700), uid: 7, ..Metadata::default() };
        let upper = attributes(vec![
            ("etc", Exception::Implied { opaque: false }),
            ("gone", Exception::Whiteout),
            ("new", Exception::Opaque(closed.clone())),
        ]);
        let directories = vec!["etc".to_owned(), "new".to_owned()];
        let above = Listing { directories, ..Listing::default() };
        let below = attributes(vec![("etc", Exception::Node(closed.clone()))]);
        let entries = upper_layer(&[(listing(), below), (above, upper)]).expect("they fit");
        let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["", "gone", "etc", "new"]);
        assert_eq!(entries[1].content, EntryContent::Special(Special::Char { major: 0, minor: 0 }));
        assert_eq!((entries[2].mode, &entries[2].metadata), (0o700, &closed));
        let opaque = BTreeMap::from([("trusted.overlay.opaque".to_owned(), b"y".to_vec())]);
        assert_eq!(entries[3].metadata, Metadata { xattrs: opaque, ..closed });
    }

    #[test]
    fn what_is_implied_is_like_what_lies_nearest_below_and_was_not_hidden() {
        let owner = |uid| Metadata { uid, ..Metadata::default() };
        let of = |paths: &[&str], exceptions| {
            let directories = paths.iter().map(ToString::to_string).collect();
            (Listing { directories, ..Listing::default() }, attributes(exceptions))
        };
        let node = |uid| Exception::Node(owner(uid));
        let implied = || Exception::Implied { opaque: false };
        let image = of(&["a", "a/b", "c"], vec![("", node(1)), ("a", node(2)), ("a/b", node(3)), ("c", node(4))]);
        let middle = of(&["a"], vec![("a", Exception::Opaque(owner(5))), ("c", Exception::Whiteout)]);
        let top = of(&["a", "a/b", "a/b/d", "c", "c/d"], vec![("a", implied()), ("a/b", implied()), ("c", implied())]);
        let entries = upper_layer(&[image, middle, top]).expect("they fit");
        let owners: Vec<(&str, u32)> = entries.iter().map(|entry| (&*entry.path, entry.metadata.uid)).collect();
        assert_eq!(owners, [("", 1), ("a", 5), ("a/b", 0), ("a/b/d", 0), ("c", 0), ("c/d", 0)]);
    }

    #[test]
    fn nothing_is_implied_over_a_file() {
        let directories = vec!["a".to_owned()];
        let above = Listing { directories, ..Listing::default() };
        let upper = attributes(vec![("a", Exception::Implied { opaque: true })]);
        let error = upper_layer(&[(listing(), Attributes::default()), (above, upper)]);
        assert!(matches!(error, Err(LayerError::Entry { .. })), "{error:?}");
    }
}
