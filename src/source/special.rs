//! The pragma `special`, applied to a Git tree: what becomes of its symlinks. As in just-mr, so that the ids agree.
//!
//! A target is taken by its text: `a/../b` is `b`, whatever `a` is. What a link
//! is replaced by is looked up in the tree as it was; only where that path
//! leads through another link, in what that link was replaced by. Calls block.

use std::collections::HashMap;
use std::rc::Rc;

use super::SourceError;
use crate::spec::{GitId, Special};
use crate::store::{GitEntry, GitEntryKind, GitStore, StoreError, tree_id};

/// Most directories and links that lead to one another.
const MAX_DEPTH: usize = 512;

/// Why the symlinks of a tree could not be treated.
#[derive(Debug, thiserror::Error)]
pub enum SpecialError {
    /// The tree cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A symlink leads out of the tree.
    #[error("symlink `{path}` leads to `{target}`, which is outside of the tree")]
    Escapes {
        /// The symlink.
        path: String,
        /// Its target.
        target: String,
    },
    /// What a symlink leads to is not there.
    #[error("`{path}`, to which a symlink leads, is not in the tree")]
    Dangling {
        /// The path, relative to the tree.
        path: String,
    },
    /// A symlink leads to itself, or to a directory it lies in.
    #[error("symlinks lead in a circle, through `{path}`")]
    Cycle {
        /// A path on the circle.
        path: String,
    },
    /// Directories and symlinks lead to one another without measure.
    #[error("`{path}` is reached through more than {MAX_DEPTH} directories and symlinks")]
    Depth {
        /// A path on the way.
        path: String,
    },
}

impl From<StoreError> for SpecialError {
    fn from(error: StoreError) -> Self {
        Self::Source(error.into())
    }
}

/// Writes the tree with its symlinks treated, and returns its id.
///
/// `Ignore` leaves them out; a directory of nothing else stays as an empty one, as just-mr has it.
/// `ResolvePartially` replaces those whose target leads upwards, `ResolveCompletely` all of them.
///
/// # Errors
/// `Unknown` or `Incomplete` when the tree is not there; when a symlink cannot be resolved.
pub fn resolve(git: &GitStore, tree: GitId, special: Special) -> Result<GitId, SpecialError> {
    let mut resolver = Resolver { git, root: tree, special, known: HashMap::new(), trees: HashMap::new(), depth: 0 };
    if git.tree(tree)?.is_none() {
        return Err(SourceError::Unknown { tree }.into());
    }
    Ok(resolver.at("", Some((GitEntryKind::Tree, tree)))?.id)
}

/// What a path holds once symlinks are treated, and where that lies itself.
#[derive(Debug, Clone)]
struct Resolved {
    kind: GitEntryKind,
    id: GitId,
    path: Rc<str>,
}

struct Resolver<'a> {
    git: &'a GitStore,
    root: GitId,
    special: Special,
    /// By path; `None` while it is being resolved.
    known: HashMap<Rc<str>, Option<Resolved>>,
    trees: HashMap<GitId, Rc<[GitEntry]>>,
    depth: usize,
}

type Found = (GitEntryKind, GitId);

impl Resolver<'_> {
    /// Resolves what lies at a path, which is looked up unless it is `found`.
    fn at(&mut self, path: &str, found: Option<Found>) -> Result<Resolved, SpecialError> {
        match self.known.get(path) {
            Some(Some(resolved)) => return Ok(resolved.clone()),
            Some(None) => return Err(SpecialError::Cycle { path: path.to_owned() }),
            None => {}
        }
        if self.depth == MAX_DEPTH {
            return Err(SpecialError::Depth { path: path.to_owned() });
        }
        let key: Rc<str> = path.into();
        self.known.insert(Rc::clone(&key), None);
        self.depth += 1;
        let found = match found {
            Some(found) => Some(found),
            None => self.look_up(path)?,
        };
        let resolved = match found {
            Some((kind, id)) => self.entry(&key, kind, id)?,
            None => self.through_parent(path)?,
        };
        self.depth -= 1;
        self.known.insert(key, Some(resolved.clone()));
        Ok(resolved)
    }

    fn entry(&mut self, path: &Rc<str>, kind: GitEntryKind, id: GitId) -> Result<Resolved, SpecialError> {
        let as_is = |kind| Ok(Resolved { kind, id, path: Rc::clone(path) });
        match kind {
            GitEntryKind::File | GitEntryKind::Executable => as_is(kind),
            GitEntryKind::Tree => Ok(Resolved { kind, id: self.tree(path, id)?, path: Rc::clone(path) }),
            GitEntryKind::Symlink => {
                let target = self.target(id)?;
                let escapes = || SpecialError::Escapes { path: path.to_string(), target: target.clone() };
                let leads_to = normal(parent(path), &target).ok_or_else(escapes)?;
                if self.special == Special::ResolvePartially && normal("", &target).is_some() {
                    return as_is(kind);
                }
                self.at(&leads_to, None)
            }
        }
    }

    fn tree(&mut self, path: &str, id: GitId) -> Result<GitId, SpecialError> {
        let before = self.entries(id)?;
        let mut entries = Vec::with_capacity(before.len());
        for entry in before.iter() {
            if entry.kind == GitEntryKind::Symlink && self.special == Special::Ignore {
                continue;
            }
            let inner = self.at(&join(path, &entry.name), Some((entry.kind, entry.id)))?;
            entries.push(GitEntry { name: entry.name.clone(), kind: inner.kind, id: inner.id });
        }
        if tree_id(entries.clone()) == id { Ok(id) } else { Ok(self.git.write_tree(entries)?) }
    }

    /// Looks a path up in the tree as it was, following nothing.
    fn look_up(&mut self, path: &str) -> Result<Option<Found>, SpecialError> {
        let mut found = (GitEntryKind::Tree, self.root);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if found.0 != GitEntryKind::Tree {
                return Ok(None);
            }
            let entries = self.entries(found.1)?;
            let Some(entry) = entries.iter().find(|entry| entry.name == name) else { return Ok(None) };
            found = (entry.kind, entry.id);
        }
        Ok(Some(found))
    }

    /// Finds a path whose directory is, or lies behind, a symlink: in what that was replaced by.
    fn through_parent(&mut self, path: &str) -> Result<Resolved, SpecialError> {
        let dangling = || SpecialError::Dangling { path: path.to_owned() };
        if let Some((GitEntryKind::Tree, _)) = self.look_up(parent(path))? {
            return Err(dangling());
        }
        let directory = self.at(parent(path), None)?;
        if directory.kind != GitEntryKind::Tree {
            return Err(dangling());
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let entries = self.entries(directory.id)?;
        let entry = entries.iter().find(|entry| entry.name == name).ok_or_else(dangling)?;
        Ok(Resolved { kind: entry.kind, id: entry.id, path: join(&directory.path, name).into() })
    }

    fn entries(&mut self, id: GitId) -> Result<Rc<[GitEntry]>, SpecialError> {
        if let Some(entries) = self.trees.get(&id) {
            return Ok(Rc::clone(entries));
        }
        let missing = SourceError::Incomplete { tree: self.root, id };
        let entries: Rc<[GitEntry]> = self.git.tree(id)?.ok_or(missing)?.into();
        self.trees.insert(id, Rc::clone(&entries));
        Ok(entries)
    }

    fn target(&self, id: GitId) -> Result<String, SpecialError> {
        let target = self.git.blob(id)?.ok_or(SourceError::Incomplete { tree: self.root, id })?;
        Ok(String::from_utf8_lossy(&target).into_owned())
    }
}

/// Returns the path that `target` is from `directory`, or `None` when it leads out of the tree.
fn normal(directory: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut path: Vec<&str> = directory.split('/').filter(|name| !name.is_empty()).collect();
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                path.pop()?;
            }
            name => path.push(name),
        }
    }
    Some(path.join("/"))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

#[cfg(test)]
mod tests;
