//! A Directory in a CAS as a Git tree: how a server takes over a root that a client uploaded.

use std::collections::HashMap;
use std::path::PathBuf;

use bytes::Bytes;

use super::SourceError;
use super::objects::Import;
use crate::digest::Digest;
use crate::spec::GitId;
use crate::store::Listing;
use crate::store::{
    BATCH_BYTES, BlobStore, Directory, GitEntry, GitEntryKind, GitStore, Node, StoreError, blocking, collect_tree, wire,
};

/// Writes the tree below a root Directory into the Git cache and returns its Git tree id.
/// Empty directories are kept: Git makes none itself, but a tree whose symlinks were left out may have them.
///
/// # Errors
/// `StoreError::Missing` with the first blob that is not in the CAS; `Directory` when one is malformed.
pub async fn import_directory(store: &dyn BlobStore, root: Digest, git: &GitStore) -> Result<GitId, SourceError> {
    let tree = collect_tree(store, root).await?;
    let listing = Listing::parse(root, &tree).map_err(|source| StoreError::Directory { digest: root, source })?;
    let mut files: Vec<Digest> = listing.files.iter().map(|file| file.digest).collect();
    files.sort_unstable();
    files.dedup();
    let objects = files.len() + listing.symlinks.len() + listing.directory_blobs.len();
    // The CAS gives each blob as a whole, so a large one alone is no reason for a pack.
    let import = Import::begin(git, objects, 0)?;
    let (mut import, blobs) = import_blobs(store, &files, import).await?;
    let directories = store.get_batch(&listing.directory_blobs).await?;
    blocking(move || {
        let entries = import_entries(&mut import, root, &directories, &blobs)?;
        let tree = import.tree(&named(root), entries)?;
        import.finish()?;
        Ok(tree)
    })
    .await
}

async fn import_blobs(
    store: &dyn BlobStore,
    files: &[Digest],
    mut import: Import,
) -> Result<(Import, HashMap<Digest, GitId>), SourceError> {
    let mut ids = HashMap::with_capacity(files.len());
    for batch in wire::batches(files, 8 * BATCH_BYTES) {
        let found = store.get_batch(batch).await?;
        if let Some(digest) = batch.iter().find(|digest| !found.contains_key(digest)) {
            return Err(StoreError::Missing { digest: *digest, role: "file of a source tree" }.into());
        }
        let written;
        (import, written) = blocking(move || {
            let mut write = |(digest, bytes): (Digest, Bytes)| Ok((digest, import.blob(&named(digest), &bytes)?));
            let written = found.into_iter().map(&mut write).collect::<Result<Vec<_>, SourceError>>()?;
            Ok::<_, SourceError>((import, written))
        })
        .await?;
        ids.extend(written);
    }
    Ok((import, ids))
}

/// How errors name a blob of a CAS.
fn named(digest: Digest) -> PathBuf {
    digest.to_string().into()
}

fn import_entries(
    import: &mut Import,
    digest: Digest,
    directories: &HashMap<Digest, Bytes>,
    blobs: &HashMap<Digest, GitId>,
) -> Result<Vec<GitEntry>, SourceError> {
    let missing = |digest, role| StoreError::Missing { digest, role };
    let bytes = directories.get(&digest).ok_or_else(|| missing(digest, "directory of a source tree"))?;
    let directory =
        Directory::parse(digest.function(), bytes).map_err(|source| StoreError::Directory { digest, source })?;
    let mut entries = Vec::new();
    for (name, node) in directory.iter() {
        let (kind, id) = match node {
            Node::File { digest, executable } => {
                let id = blobs.get(digest).ok_or_else(|| missing(*digest, "file of a source tree"))?;
                (if *executable { GitEntryKind::Executable } else { GitEntryKind::File }, *id)
            }
            Node::Symlink { target } => (GitEntryKind::Symlink, import.blob(name.as_ref(), target.as_bytes())?),
            Node::Directory { digest } => {
                let inner = import_entries(import, *digest, directories, blobs)?;
                (GitEntryKind::Tree, import.tree(&named(*digest), inner)?)
            }
        };
        entries.push(GitEntry { name: name.to_owned(), kind, id });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::super::{export_tree, import_path};
    use super::*;
    use crate::digest::DigestFunction;
    use crate::store::MemoryBlobStore;

    #[tokio::test]
    async fn a_tree_that_goes_out_and_comes_back_is_the_same() {
        let directory = tempfile::tempdir().expect("temporary");
        let source = directory.path().join("source");
        std::fs::create_dir_all(source.join("sub/deep")).expect("temporary");
        for (at, text) in [("a", "1"), ("sub/b", "1"), ("sub/deep/c", "3")] {
            std::fs::write(source.join(at), text).expect("temporary");
        }
        std::os::unix::fs::symlink("sub/b", source.join("link")).expect("temporary");
        let git = GitStore::open(&directory.path().join("one"), &[]).expect("made");
        let tree = import_path(&git, &source).expect("imported");
        let store = MemoryBlobStore::default();
        let root = export_tree(&git, tree, &store, DigestFunction::Blake3).await.expect("exported").expect("known");

        let other = GitStore::open(&directory.path().join("two"), &[]).expect("made");
        assert_eq!(import_directory(&store, root, &other).await.expect("complete"), tree);
        assert!(other.contains(tree).expect("readable"));
    }

    #[tokio::test]
    async fn so_is_one_with_an_empty_directory() {
        let directory = tempfile::tempdir().expect("temporary");
        let git = GitStore::open(&directory.path().join("one"), &[]).expect("made");
        let empty = git.write_tree(Vec::new()).expect("written");
        let entry = GitEntry { name: "empty".to_owned(), kind: GitEntryKind::Tree, id: empty };
        let tree = git.write_tree(vec![entry]).expect("written");
        let store = MemoryBlobStore::default();
        let root = export_tree(&git, tree, &store, DigestFunction::Blake3).await.expect("exported").expect("known");

        let other = GitStore::open(&directory.path().join("two"), &[]).expect("made");
        assert_eq!(import_directory(&store, root, &other).await.expect("complete"), tree);
    }

    #[tokio::test]
    async fn an_unknown_tree_is_none() {
        let directory = tempfile::tempdir().expect("temporary");
        let git = GitStore::open(directory.path(), &[]).expect("made");
        let unknown = GitId::parse(&"12".repeat(20)).expect("an id");
        let answer = export_tree(&git, unknown, &MemoryBlobStore::default(), DigestFunction::Sha256).await;
        assert!(answer.expect("readable").is_none());
    }
}
