//! A tree in the CAS, walked in the order of an archive, with little of it in memory.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::{MAX_DEPTH, NarError};
use crate::digest::Digest;
use crate::store::{BATCH_BYTES, BlobStore, Directory, Node, StoreError};

/// Bytes of blobs that are asked for at once in the root; deeper directories ask for a share of that.
const AHEAD_BYTES: u64 = 4 * BATCH_BYTES;
/// Blobs that are asked for at once.
const AHEAD_BLOBS: usize = 1000;

/// The next thing on the way through a tree.
pub(super) enum Step {
    /// A directory begins. All but the root have a name.
    Enter(Option<String>),
    /// The directory entered last has ended.
    Leave { root: bool },
    /// A file whose content has come.
    Small { name: Option<String>, executable: bool, bytes: Bytes },
    /// A file whose content is too large to be held.
    Large { name: Option<String>, executable: bool, digest: Digest },
    /// A symlink.
    Link { name: Option<String>, target: String },
}

/// A directory on the way, with the blobs that have come for its next entries.
struct Level {
    entries: VecDeque<(String, Node)>,
    ready: HashMap<Digest, Bytes>,
}

/// A walk through a tree.
pub(super) struct Walk<'a> {
    store: &'a dyn BlobStore,
    root: Option<Node>,
    levels: Vec<Level>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(store: &'a dyn BlobStore, root: Node) -> Self {
        Self { store, root: Some(root), levels: Vec::new() }
    }

    /// Returns the next step, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Step>, NarError> {
        if let Some(root) = self.root.take() {
            return self.step(None, root).await.map(Some);
        }
        let Some(level) = self.levels.last_mut() else { return Ok(None) };
        let Some((name, node)) = level.entries.pop_front() else {
            self.levels.pop();
            return Ok(Some(Step::Leave { root: self.levels.is_empty() }));
        };
        self.step(Some(name), node).await.map(Some)
    }

    async fn step(&mut self, name: Option<String>, node: Node) -> Result<Step, NarError> {
        Ok(match node {
            Node::Symlink { target } => Step::Link { name, target },
            Node::File { digest, executable } if digest.size() > BATCH_BYTES => {
                Step::Large { name, executable, digest }
            }
            Node::File { digest, executable } => {
                Step::Small { name, executable, bytes: self.blob(&digest, "file of an archive").await? }
            }
            Node::Directory { digest } => {
                let bytes = self.blob(&digest, "directory of an archive").await?;
                self.enter(digest, &bytes)?;
                Step::Enter(name)
            }
        })
    }

    fn enter(&mut self, digest: Digest, bytes: &[u8]) -> Result<(), NarError> {
        if self.levels.len() >= MAX_DEPTH {
            return Err(NarError::TooLarge { limit: MAX_DEPTH as u64, what: "levels" });
        }
        let directory =
            Directory::parse(digest.function(), bytes).map_err(|source| StoreError::Directory { digest, source })?;
        let entries = directory.iter().map(|(name, node)| (name.to_owned(), node.clone())).collect();
        self.levels.push(Level { entries, ready: HashMap::new() });
        Ok(())
    }

    /// Returns a blob, and asks for those that come after it in its directory when it has not come yet.
    async fn blob(&mut self, digest: &Digest, role: &'static str) -> Result<Bytes, NarError> {
        if digest.size() == 0 && *digest == digest.function().empty() {
            return Ok(Bytes::new());
        }
        let ready = self.levels.last().and_then(|level| level.ready.get(digest));
        if let Some(bytes) = ready {
            return Ok(bytes.clone());
        }
        let mut wanted = vec![*digest];
        if let Some(level) = self.levels.last_mut() {
            level.ready.clear();
        }
        let mut room = (AHEAD_BYTES / self.levels.len().max(1) as u64).saturating_sub(digest.size());
        for (_, node) in self.levels.last().into_iter().flat_map(|level| &level.entries) {
            let next = match node {
                Node::File { digest, .. } if digest.size() > BATCH_BYTES => continue,
                Node::File { digest, .. } | Node::Directory { digest } => digest,
                Node::Symlink { .. } => continue,
            };
            if next.size() > room || wanted.len() >= AHEAD_BLOBS {
                break;
            }
            room -= next.size();
            wanted.push(*next);
        }
        let blobs = self.store.get_batch(&wanted).await?;
        let missing = StoreError::Missing { digest: *digest, role };
        let bytes = blobs.get(digest).cloned().ok_or(missing)?;
        if let Some(level) = self.levels.last_mut() {
            level.ready = blobs;
        }
        Ok(bytes)
    }
}
