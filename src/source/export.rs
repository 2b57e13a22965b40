//! A Git tree as a Directory in a CAS.

use std::collections::HashMap;

use bytes::Bytes;

use super::SourceError;
use crate::digest::{Digest, DigestFunction};
use crate::spec::GitId;
use crate::store::{BlobStore, Directory, GitEntry, GitEntryKind, GitStore, Node, StoreError, blocking};

/// Bytes of blobs held in memory on their way, unless one alone is larger.
const WINDOW_BYTES: usize = 16 << 20;

/// Every tree below a root, children first, and every blob in them, each once.
pub(super) struct Walk {
    pub(super) trees: Vec<(GitId, Vec<GitEntry>)>,
    pub(super) blobs: Vec<GitId>,
}

/// Puts the tree, with all its blobs and Directories, into the CAS and returns its root Directory.
/// `None` when the Git store does not know the tree.
///
/// # Errors
/// `Incomplete` when an object of a known tree is not there; else what the stores say.
pub async fn export_tree(
    git: &GitStore,
    tree: GitId,
    store: &dyn BlobStore,
    function: DigestFunction,
) -> Result<Option<Digest>, SourceError> {
    let walk = {
        let git = git.clone();
        blocking(move || walk(&git, tree)).await?
    };
    let Some(walk) = walk else { return Ok(None) };
    let blobs = export_blobs(git, tree, &walk.blobs, store, function).await?;
    let (root, directories) = directories(tree, &walk.trees, &blobs, function)?;
    store.put_missing(directories).await?;
    Ok(Some(root))
}

/// Returns how many bytes the files of a tree have together, each counted once; `None` when it is not known whole.
///
/// # Errors
/// When a repository cannot tell.
pub async fn tree_size(git: &GitStore, tree: GitId) -> Result<Option<u64>, SourceError> {
    let git = git.clone();
    blocking(move || {
        let Some(walk) = walk(&git, tree)? else { return Ok(None) };
        let sizes = walk.blobs.iter().map(|id| Ok(git.blob_size(*id)?.map(|size| size as u64)));
        sizes.sum::<Result<Option<u64>, SourceError>>()
    })
    .await
}

pub(super) fn walk(git: &GitStore, root: GitId) -> Result<Option<Walk>, SourceError> {
    let mut found = Walk { trees: Vec::new(), blobs: Vec::new() };
    let mut seen = std::collections::HashSet::new();
    // A tree is taken from the stack twice: to look at its entries, and with them when all below is done. One that
    // stands at several places counts where it is looked at, not where it is met: another may need it before.
    let mut stack = vec![(root, None)];
    while let Some((id, entries)) = stack.pop() {
        if let Some(entries) = entries {
            found.trees.push((id, entries));
            continue;
        }
        if !seen.insert(id) {
            continue;
        }
        let entries = match git.tree(id)? {
            Some(entries) => entries,
            None if id == root => return Ok(None),
            None => return Err(SourceError::Incomplete { tree: root, id }),
        };
        let mut inner = Vec::new();
        for entry in &entries {
            if entry.kind == GitEntryKind::Tree {
                inner.push((entry.id, None));
            } else if seen.insert(entry.id) {
                found.blobs.push(entry.id);
            }
        }
        stack.push((id, Some(entries)));
        stack.append(&mut inner);
    }
    Ok(Some(found))
}

/// A blob in the CAS, and its text if it is short enough to be the target of a symlink.
struct Exported {
    digest: Digest,
    target: Option<String>,
}

async fn export_blobs(
    git: &GitStore,
    tree: GitId,
    ids: &[GitId],
    store: &dyn BlobStore,
    function: DigestFunction,
) -> Result<HashMap<GitId, Exported>, SourceError> {
    let mut exported = HashMap::with_capacity(ids.len());
    let mut rest = ids.to_vec();
    while !rest.is_empty() {
        let git = git.clone();
        let (read, later) = blocking(move || read_window(&git, tree, rest, function)).await?;
        let mut blobs = Vec::with_capacity(read.len());
        for (id, digest, bytes) in read {
            let target = (bytes.len() <= 4096).then(|| std::str::from_utf8(&bytes).ok().map(str::to_owned)).flatten();
            exported.insert(id, Exported { digest, target });
            blobs.push((digest, bytes));
        }
        store.put_missing(blobs).await?;
        rest = later;
    }
    Ok(exported)
}

type Window = (Vec<(GitId, Digest, Bytes)>, Vec<GitId>);

/// Reads blobs until the window is full; returns them and the ids that are left.
fn read_window(
    git: &GitStore,
    tree: GitId,
    mut ids: Vec<GitId>,
    function: DigestFunction,
) -> Result<Window, SourceError> {
    let (mut read, mut bytes) = (Vec::new(), 0);
    while bytes < WINDOW_BYTES {
        let Some(id) = ids.pop() else { break };
        let blob = git.blob(id)?.ok_or(SourceError::Incomplete { tree, id })?;
        bytes += blob.len();
        read.push((id, function.digest(&blob), Bytes::from(blob)));
    }
    Ok((read, ids))
}

type Directories = (Digest, Vec<(Digest, Bytes)>);

fn directories(
    root: GitId,
    trees: &[(GitId, Vec<GitEntry>)],
    blobs: &HashMap<GitId, Exported>,
    function: DigestFunction,
) -> Result<Directories, SourceError> {
    let mut known: HashMap<GitId, Digest> = HashMap::with_capacity(trees.len());
    let mut encoded = Vec::with_capacity(trees.len());
    for (id, entries) in trees {
        let mut directory = Directory::default();
        for entry in entries {
            let node = node(*id, entry, &known, blobs)?;
            let what = "an entry that no directory can hold";
            let invalid = |_| StoreError::GitEntry { tree: *id, name: entry.name.clone(), what };
            directory.insert(entry.name.clone(), node).map_err(invalid)?;
        }
        let bytes = Bytes::from(directory.encode());
        let digest = function.digest(&bytes);
        known.insert(*id, digest);
        encoded.push((digest, bytes));
    }
    let root = known.get(&root).copied().ok_or(SourceError::Unknown { tree: root })?;
    Ok((root, encoded))
}

fn node(
    tree: GitId,
    entry: &GitEntry,
    trees: &HashMap<GitId, Digest>,
    blobs: &HashMap<GitId, Exported>,
) -> Result<Node, SourceError> {
    let missing = || SourceError::Incomplete { tree, id: entry.id };
    Ok(match entry.kind {
        GitEntryKind::Tree => Node::Directory { digest: *trees.get(&entry.id).ok_or_else(missing)? },
        GitEntryKind::File | GitEntryKind::Executable => {
            let digest = blobs.get(&entry.id).ok_or_else(missing)?.digest;
            Node::File { digest, executable: entry.kind == GitEntryKind::Executable }
        }
        GitEntryKind::Symlink => {
            let what = "a symlink whose target is overlong or not UTF-8";
            let invalid = || StoreError::GitEntry { tree, name: entry.name.clone(), what };
            let target = blobs.get(&entry.id).ok_or_else(missing)?.target.clone().ok_or_else(invalid)?;
            Node::Symlink { target }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryBlobStore;

    #[tokio::test]
    async fn a_tree_that_stands_at_several_depths_comes_before_all_that_need_it() {
        let directory = tempfile::tempdir().unwrap();
        let git = GitStore::open(directory.path(), &[]).unwrap();
        let entry = |name: &str, kind, id| GitEntry { name: name.to_owned(), kind, id };
        let file = git.write_blob(b"x").unwrap();
        let same = git.write_tree(vec![entry("file", GitEntryKind::File, file)]).unwrap();
        let outer = git.write_tree(vec![entry("same", GitEntryKind::Tree, same)]).unwrap();
        for names in [["a", "b"], ["b", "a"]] {
            let entries = vec![entry(names[0], GitEntryKind::Tree, same), entry(names[1], GitEntryKind::Tree, outer)];
            let root = git.write_tree(entries).unwrap();
            let store = MemoryBlobStore::default();
            export_tree(&git, root, &store, DigestFunction::Sha256).await.unwrap().expect("known");
            assert_eq!(tree_size(&git, root).await.unwrap(), Some(1), "the file stands there twice");
        }
    }
}
