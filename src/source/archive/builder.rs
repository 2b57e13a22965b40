//! The tree of an archive while it is read: which paths there are, and what they hold.
//!
//! Entries may come in any order, and directories may be implied. Nothing is
//! ever followed: a path that leads through a symlink is refused.

use std::collections::{BTreeMap, HashMap};

use super::name::shown;
use super::{ArchiveError, CaseCollisions, Limits};
use crate::spec::{GitId, RelativePath};
use crate::store::{GitEntry, GitEntryKind, PackError, PackWriter};

/// A file or symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) kind: GitEntryKind,
    pub(super) id: GitId,
}

enum Node {
    /// Names and where their nodes lie. A node lies behind that of its directory.
    Directory(BTreeMap<Box<str>, usize>),
    Leaf(Leaf),
}

/// The tree of an archive.
pub(super) struct Builder<'a> {
    limits: &'a Limits,
    /// The directory of the archive itself first.
    nodes: Vec<Node>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self { limits, nodes: vec![Node::Directory(BTreeMap::new())] }
    }

    /// Adds a directory, which may be there already.
    pub(super) fn directory(&mut self, path: &RelativePath) -> Result<(), ArchiveError> {
        self.make(path, path.components()).map(|_| ())
    }

    /// Makes sure that a file or symlink can have a path, before its content is read.
    pub(super) fn reserve(&mut self, path: &RelativePath) -> Result<Place, ArchiveError> {
        let wrong = |what| ArchiveError::Name { entry: shown_path(path), what };
        let mut components: Vec<&str> = path.components().collect();
        let name = components.pop().ok_or_else(|| wrong("is that of the archive itself"))?;
        let directory = self.make(path, components)?;
        let Node::Directory(names) = &self.nodes[directory] else { return Err(wrong("is that of no directory")) };
        if names.contains_key(name) {
            return Err(ArchiveError::Duplicate { entry: shown_path(path) });
        }
        Ok(Place { directory, name: name.into() })
    }

    /// Puts a file or symlink into its place.
    pub(super) fn put(&mut self, place: Place, leaf: Leaf) -> Result<(), ArchiveError> {
        self.add(place.directory, place.name, Node::Leaf(leaf)).map(|_| ())
    }

    /// Returns the file or symlink at a path.
    pub(super) fn leaf(&self, path: &RelativePath) -> Option<Leaf> {
        match &self.nodes[self.find(path)?] {
            Node::Leaf(leaf) => Some(*leaf),
            Node::Directory(_) => None,
        }
    }

    fn find(&self, path: &RelativePath) -> Option<usize> {
        path.components().try_fold(0, |node, name| match &self.nodes[node] {
            Node::Directory(names) => names.get(name).copied(),
            Node::Leaf(_) => None,
        })
    }

    fn make<'n>(
        &mut self,
        path: &RelativePath,
        components: impl IntoIterator<Item = &'n str>,
    ) -> Result<usize, ArchiveError> {
        let mut node = 0;
        let mut depth = 0;
        for name in components {
            let Node::Directory(names) = &self.nodes[node] else { break };
            node = match names.get(name) {
                Some(found) => *found,
                None => self.add(node, name.into(), Node::Directory(BTreeMap::new()))?,
            };
            depth += 1;
        }
        match self.nodes[node] {
            Node::Directory(_) => Ok(node),
            Node::Leaf(_) => Err(not_a_directory(path, depth)),
        }
    }

    fn add(&mut self, directory: usize, name: Box<str>, node: Node) -> Result<usize, ArchiveError> {
        if self.nodes.len() > self.limits.max_entries {
            return Err(ArchiveError::Entries { limit: self.limits.max_entries });
        }
        let place = self.nodes.len();
        if let Node::Directory(names) = &mut self.nodes[directory] {
            names.insert(name, place);
        }
        self.nodes.push(node);
        Ok(place)
    }

    /// Writes the trees and returns the id of `subdir`. A directory without files is left out, as Git does.
    pub(super) fn finish(self, pack: &mut PackWriter, subdir: &RelativePath) -> Result<GitId, ArchiveError> {
        let no_subdir = || ArchiveError::NoSubdir { subdir: subdir.clone() };
        let wanted = self.find(subdir).ok_or_else(no_subdir)?;
        let mut trees: HashMap<usize, GitId> = HashMap::new();
        for (place, node) in self.nodes.iter().enumerate().rev() {
            let Node::Directory(names) = node else { continue };
            if self.limits.case_collisions == CaseCollisions::Refuse {
                refuse_collisions(names)?;
            }
            let mut entries = Vec::with_capacity(names.len());
            for (name, inner) in names {
                let (kind, id) = match (&self.nodes[*inner], trees.get(inner)) {
                    (Node::Leaf(leaf), _) => (leaf.kind, leaf.id),
                    (Node::Directory(_), Some(tree)) => (GitEntryKind::Tree, *tree),
                    (Node::Directory(_), None) => continue,
                };
                entries.push(GitEntry { name: name.to_string(), kind, id });
            }
            if place == 0 || !entries.is_empty() {
                let id = pack.tree(entries).map_err(|error| written(error, subdir.as_str()))?;
                trees.insert(place, id);
            }
        }
        trees.get(&wanted).copied().ok_or_else(no_subdir)
    }
}

/// Where a file or symlink goes that is still to be read.
pub(super) struct Place {
    directory: usize,
    name: Box<str>,
}

/// Returns what it means that a blob or tree could not be written.
pub(super) fn written(error: PackError, entry: &str) -> ArchiveError {
    let entry = || shown(entry.as_bytes());
    match error {
        PackError::Store(error) => ArchiveError::Store(error),
        PackError::Collision { .. } => ArchiveError::Collision { entry: entry() },
        PackError::Size { expected } => ArchiveError::Size { entry: entry(), expected },
        PackError::Read(source) => ArchiveError::Read { place: super::error::Place(Some(entry())), source },
    }
}

fn shown_path(path: &RelativePath) -> String {
    shown(path.as_str().as_bytes())
}

/// The first `depth` components of the path are a file or symlink.
fn not_a_directory(path: &RelativePath, depth: usize) -> ArchiveError {
    let file: Vec<&str> = path.components().take(depth).collect();
    let (entry, file) = (shown_path(path), shown(file.join("/").as_bytes()));
    if entry == file { ArchiveError::Duplicate { entry } } else { ArchiveError::NotADirectory { entry, file } }
}

fn refuse_collisions(names: &BTreeMap<Box<str>, usize>) -> Result<(), ArchiveError> {
    let mut seen: HashMap<String, &str> = HashMap::with_capacity(names.len());
    for name in names.keys() {
        if let Some(other) = seen.insert(name.to_lowercase(), name) {
            let shown = |name: &str| shown(name.as_bytes());
            return Err(ArchiveError::CaseCollision { entry: shown(name), other: shown(other) });
        }
    }
    Ok(())
}
