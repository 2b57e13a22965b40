//! A layer in memory, without the content of its files: the tree and its attributes joined.
//!
//! Reading builds one, writing walks one, applying joins several. Files with several names are one `Leaf` in several
//! places; the first path in order is the one that the others link to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::attributes::{Attributes, Exception, Metadata, Special};
use super::layer::LayerError;
use crate::digest::{Digest, DigestFunction};
use crate::spec::RelativePath;
use crate::store::{Directory, Listing, Node};

#[cfg(test)]
mod tests;

/// Longest path that Linux takes.
pub(super) const MAX_PATH: usize = 4096;
/// What stands before the name of what is gone. Nothing in a layer can have such a name.
pub(super) const WHITEOUT: &str = ".wh.";

/// A directory of a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Branch {
    /// What it is like; none where lower layers say so.
    pub(super) metadata: Option<Metadata>,
    /// Whether it hides what lower layers have in it.
    pub(super) opaque: bool,
    pub(super) entries: BTreeMap<String, Child>,
    /// Names of lower layers that are gone.
    pub(super) whiteouts: BTreeSet<String>,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Child {
    Directory(Branch),
    Leaf(Arc<Leaf>),
}

/// Anything but a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) content: Content,
    pub(super) metadata: Metadata,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    File { digest: Digest, executable: bool },
    Symlink { target: String },
    Special(Special),
}

impl Content {
    /// Returns the mode that is meant when none is stated.
    pub(super) fn default_mode(&self) -> u16 {
        match self {
            Self::File { executable: true, .. } => 0o755,
            Self::File { executable: false, .. } | Self::Special(_) => 0o644,
            Self::Symlink { .. } => 0o777,
        }
    }

    /// Checks that a stated mode has to be stated, and does not contradict.
    fn check_mode(&self, mode: Option<u16>) -> Result<(), &'static str> {
        match (self, mode) {
            (_, None) => Ok(()),
            (_, Some(mode)) if mode == self.default_mode() => Err("the mode is the default"),
            (Self::Symlink { .. }, Some(_)) => Err("symlinks have no mode of their own"),
            (Self::File { executable, .. }, Some(mode)) if (mode & 0o100 != 0) != *executable => {
                Err("the mode contradicts the executable bit")
            }
            (Self::File { .. } | Self::Special(_), Some(_)) => Ok(()),
        }
    }
}

/// The mode of directories that is meant when none is stated.
pub(super) const DIRECTORY_MODE: u16 = 0o755;

impl Branch {
    /// Returns a directory that is stated, with the default attributes.
    pub(super) fn stated() -> Self {
        Self { metadata: Some(Metadata::default()), ..Self::default() }
    }

    /// Joins a tree and its attributes.
    ///
    /// # Errors
    /// `Attributes` when they do not fit together.
    pub(super) fn join(listing: &Listing, attributes: &Attributes) -> Result<Self, LayerError> {
        let mut root = Self::default();
        for path in &listing.directories {
            root.add(path, Child::Directory(Self::stated()))?;
        }
        let leaf = |content| Child::Leaf(Arc::new(Leaf { content, metadata: Metadata::default() }));
        for file in &listing.files {
            root.add(&file.path, leaf(Content::File { digest: file.digest, executable: file.executable }))?;
        }
        for (path, target) in &listing.symlinks {
            root.add(path, leaf(Content::Symlink { target: target.clone() }))?;
        }
        for (path, exception) in &attributes.exceptions {
            root.except(path, exception, attributes).map_err(LayerError::attributes(path.as_str()))?;
        }
        Ok(root)
    }

    fn add(&mut self, path: &str, child: Child) -> Result<(), LayerError> {
        let wrong = LayerError::attributes(path);
        let relative = RelativePath::parse(path).map_err(|_| wrong("the path is not normal"))?;
        let (parent, name) = self.parent(&relative).map_err(&wrong)?;
        check_name(name).map_err(&wrong)?;
        if path.len() > MAX_PATH {
            return Err(wrong("the path is longer than 4096 bytes"));
        }
        parent.entries.insert(name.to_owned(), child);
        Ok(())
    }

    /// Returns the directory in which a path stands, and the name there.
    fn parent<'a>(&mut self, path: &'a RelativePath) -> Result<(&mut Self, &'a str), &'static str> {
        let mut components: Vec<&str> = path.components().collect();
        let name = components.pop().ok_or("the root is in no directory")?;
        let mut at = self;
        for component in components {
            match at.entries.get_mut(component) {
                Some(Child::Directory(inner)) => at = inner,
                Some(Child::Leaf(_)) | None => return Err("the tree has no directory for it"),
            }
        }
        Ok((at, name))
    }

    /// Returns what stands at a path.
    pub(super) fn find(&self, path: &RelativePath) -> Option<&Child> {
        let mut components = path.components();
        let mut found = self.entries.get(components.next()?)?;
        for component in components {
            match found {
                Child::Directory(inner) => found = inner.entries.get(component)?,
                Child::Leaf(_) => return None,
            }
        }
        Some(found)
    }

    fn except(
        &mut self,
        path: &RelativePath,
        exception: &Exception,
        attributes: &Attributes,
    ) -> Result<(), &'static str> {
        exception.check()?;
        if path.is_root() {
            return self.become_directory(exception, true);
        }
        let linked = match exception {
            Exception::HardLink { target } => Some(self.linked(path, target, attributes)?),
            _ => None,
        };
        let (parent, name) = self.parent(path)?;
        check_name(name)?;
        match (exception, parent.entries.get_mut(name)) {
            (Exception::HardLink { .. }, Some(Child::Leaf(leaf))) => {
                let target = linked.ok_or("the target of the link is no file of the tree")?;
                if leaf.content != target.content {
                    return Err("the file is another than the target of the link");
                }
                *leaf = target;
            }
            (Exception::Node(metadata), Some(Child::Leaf(leaf))) => {
                leaf.content.check_mode(metadata.mode)?;
                if *metadata == Metadata::default() {
                    return Err("the attributes are the default ones");
                }
                *leaf = Arc::new(Leaf { content: leaf.content.clone(), metadata: metadata.clone() });
            }
            (_, Some(Child::Directory(directory))) => directory.become_directory(exception, false)?,
            (Exception::Special(special, metadata), None) => {
                let content = Content::Special(*special);
                content.check_mode(metadata.mode)?;
                let leaf = Leaf { content, metadata: metadata.clone() };
                parent.entries.insert(name.to_owned(), Child::Leaf(Arc::new(leaf)));
            }
            (Exception::Whiteout, None) => {
                parent.whiteouts.insert(name.to_owned());
            }
            (_, None) => return Err("the tree has nothing there"),
            (_, Some(Child::Leaf(_))) => return Err("the tree has something else there"),
        }
        Ok(())
    }

    /// Returns the file that a hard link leads to, which has its own attributes by then, as its path comes before.
    fn linked(
        &self,
        path: &RelativePath,
        target: &RelativePath,
        attributes: &Attributes,
    ) -> Result<Arc<Leaf>, &'static str> {
        if target >= path {
            return Err("the target of the link does not come before it");
        }
        if matches!(attributes.exceptions.get(target), Some(Exception::HardLink { .. })) {
            return Err("the target of the link is a link itself");
        }
        match self.find(target) {
            Some(Child::Leaf(leaf)) if matches!(leaf.content, Content::File { .. }) => Ok(leaf.clone()),
            _ => Err("the target of the link is no file of the tree"),
        }
    }

    fn become_directory(&mut self, exception: &Exception, root: bool) -> Result<(), &'static str> {
        let (metadata, opaque) = match exception {
            Exception::Node(metadata) => (Some(metadata.clone()), false),
            Exception::Opaque(metadata) => (Some(metadata.clone()), true),
            Exception::Implied { opaque } => (None, *opaque),
            Exception::HardLink { .. } | Exception::Special(..) | Exception::Whiteout => {
                return Err("the tree has a directory there");
            }
        };
        if metadata.as_ref().is_some_and(|metadata| metadata.mode == Some(DIRECTORY_MODE)) {
            return Err("the mode is the default");
        }
        let said = if root { None } else { Some(Metadata::default()) };
        if metadata == said && !opaque {
            return Err("the attributes are the default ones");
        }
        (self.metadata, self.opaque) = (metadata, opaque);
        Ok(())
    }

    /// Checks that every directory that is only implied is implied by something.
    pub(super) fn check_implied(&self, path: &str) -> Result<(), LayerError> {
        for (name, child) in &self.entries {
            let Child::Directory(inner) = child else { continue };
            let path = join(path, name);
            if inner.metadata.is_none() && !inner.opaque && inner.entries.is_empty() && inner.whiteouts.is_empty() {
                return Err(LayerError::attributes(&path)("nothing implies the directory"));
            }
            inner.check_implied(&path)?;
        }
        Ok(())
    }

    /// Makes one thing of names that are both gone from lower layers and there again: opaque directories, or files,
    /// which hide what was there in any case.
    pub(super) fn settle(&mut self) {
        for (name, child) in &mut self.entries {
            let gone = self.whiteouts.remove(name);
            if let Child::Directory(inner) = child {
                if gone {
                    inner.opaque = true;
                    inner.metadata.get_or_insert_default();
                }
                inner.settle();
            }
        }
    }

    /// Parts the layer into the root Directory, with the blobs of all directories, and the attributes.
    pub(super) fn part(&self, function: DigestFunction) -> (Digest, Vec<(Digest, Bytes)>, Attributes) {
        let mut parting =
            Parting { function, blobs: Vec::new(), names: HashMap::new(), attributes: Attributes::default() };
        let root = match (&self.metadata, self.opaque) {
            (Some(metadata), false) => Some(Exception::Node(metadata.clone())),
            (Some(metadata), true) => Some(Exception::Opaque(metadata.clone())),
            (None, true) => Some(Exception::Implied { opaque: true }),
            (None, false) => None,
        };
        parting.attributes.exceptions.extend(root.map(|exception| (RelativePath::root(), exception)));
        let root = parting.directory(self, &RelativePath::root());
        (root, parting.blobs, parting.attributes)
    }
}

/// Returns the path of a name in a directory.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// Checks that a name can stand in a layer.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.starts_with(WHITEOUT) {
        return Err("its name is that of a whiteout");
    }
    if name.len() > 255 { Err("its name is longer than 255 bytes") } else { Ok(()) }
}

/// A layer being parted.
struct Parting {
    function: DigestFunction,
    blobs: Vec<(Digest, Bytes)>,
    /// The first path of each file, by the place of its leaf in memory.
    names: HashMap<usize, RelativePath>,
    attributes: Attributes,
}

impl Parting {
    fn directory(&mut self, branch: &Branch, path: &RelativePath) -> Digest {
        let mut directory = Directory::default();
        let inside = |name: &String| path.join(name).expect("names in a layer were checked");
        for name in &branch.whiteouts {
            self.attributes.exceptions.insert(inside(name), Exception::Whiteout);
        }
        for (name, child) in &branch.entries {
            let path = inside(name);
            let node = match child {
                Child::Directory(inner) => {
                    let exception = match (&inner.metadata, inner.opaque) {
                        (Some(metadata), true) => Some(Exception::Opaque(metadata.clone())),
                        (None, opaque) => Some(Exception::Implied { opaque }),
                        (Some(metadata), false) if *metadata == Metadata::default() => None,
                        (Some(metadata), false) => Some(Exception::Node(metadata.clone())),
                    };
                    let digest = self.directory(inner, &path);
                    self.attributes.exceptions.extend(exception.map(|exception| (path, exception)));
                    Some(Node::Directory { digest })
                }
                Child::Leaf(leaf) => self.leaf(leaf, path),
            };
            if let Some(node) = node {
                directory.insert(name.clone(), node).expect("names are unique, and names and targets were checked");
            }
        }
        let bytes = Bytes::from(directory.encode());
        let digest = self.function.digest(&bytes);
        self.blobs.push((digest, bytes));
        digest
    }

    fn leaf(&mut self, leaf: &Arc<Leaf>, path: RelativePath) -> Option<Node> {
        let (node, exception) = match &leaf.content {
            Content::Special(special) => (None, Some(Exception::Special(*special, leaf.metadata.clone()))),
            Content::Symlink { target } => (Some(Node::Symlink { target: target.clone() }), None),
            Content::File { digest, executable } => {
                let target = self.names.get(&Arc::as_ptr(leaf).addr()).cloned();
                if target.is_none() {
                    self.names.insert(Arc::as_ptr(leaf).addr(), path.clone());
                }
                let link = target.map(|target| Exception::HardLink { target });
                (Some(Node::File { digest: *digest, executable: *executable }), link)
            }
        };
        let other = || (leaf.metadata != Metadata::default()).then(|| Exception::Node(leaf.metadata.clone()));
        self.attributes.exceptions.extend(exception.or_else(other).map(|exception| (path, exception)));
        node
    }
}
