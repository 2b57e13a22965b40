//! `distdir` and `foreign file` roots: one directory with files that are Git blobs already.

use std::collections::BTreeMap;

use crate::spec::{GitId, valid_name};
use crate::store::{GitEntry, GitEntryKind, GitStore, StoreError, tree_id};

/// Why a directory of files could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DistdirError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name that no file can have.
    #[error("`{name}` cannot be the name of a file")]
    Name {
        /// The name.
        name: String,
    },
    /// Files whose content is not there.
    #[error("{}", unknown(files))]
    Unknown {
        /// Their names, and the ids of what is no blob here.
        files: Vec<(String, GitId)>,
    },
}

fn unknown(files: &[(String, GitId)]) -> String {
    let files: Vec<String> = files.iter().map(|(name, id)| format!("`{name}` (Git blob `{id}`)")).collect();
    format!("the content of {} is not in the Git cache", files.join(", "))
}

/// Writes the tree of the named blobs, each executable or not, and returns its id.
///
/// # Errors
/// `Name`; `Unknown` with all blobs that are not there.
pub fn distdir_tree(git: &GitStore, files: &BTreeMap<String, (GitId, bool)>) -> Result<GitId, DistdirError> {
    let mut entries = Vec::with_capacity(files.len());
    let mut unknown = Vec::new();
    for file in files {
        let entry = entry(file)?;
        if git.blob_size(entry.id)?.is_none() {
            unknown.push((entry.name.clone(), entry.id));
        }
        entries.push(entry);
    }
    if !unknown.is_empty() {
        return Err(DistdirError::Unknown { files: unknown });
    }
    Ok(git.write_tree(entries)?)
}

/// Returns the id of the tree of the named blobs, each executable or not, and stores nothing.
///
/// # Errors
/// `Name`.
pub fn tree_id_of_files(files: &BTreeMap<String, (GitId, bool)>) -> Result<GitId, DistdirError> {
    Ok(tree_id(files.iter().map(entry).collect::<Result<_, _>>()?))
}

fn entry((name, &(id, executable)): (&String, &(GitId, bool))) -> Result<GitEntry, DistdirError> {
    if !valid_name(name) || name.eq_ignore_ascii_case(".git") {
        return Err(DistdirError::Name { name: name.escape_debug().to_string() });
    }
    let kind = if executable { GitEntryKind::Executable } else { GitEntryKind::File };
    Ok(GitEntry { name: name.clone(), kind, id })
}

/// Writes the tree of one file and returns its id.
///
/// # Errors
/// As `distdir_tree`.
pub fn foreign_file(git: &GitStore, blob: GitId, name: &str, executable: bool) -> Result<GitId, DistdirError> {
    distdir_tree(git, &BTreeMap::from([(name.to_owned(), (blob, executable))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, GitStore) {
        let directory = tempfile::tempdir().unwrap();
        let git = GitStore::open(&directory.path().join("git"), &[]).unwrap();
        (directory, git)
    }

    #[test]
    fn the_tree_holds_the_files_under_their_names() {
        let (_directory, git) = store();
        let (one, two) = (git.write_blob(b"1").unwrap(), git.write_blob(b"2").unwrap());
        let files = BTreeMap::from([("b.tgz".to_owned(), (one, false)), ("a.zip".to_owned(), (two, false))]);
        let tree = distdir_tree(&git, &files).unwrap();
        assert_eq!(tree_id_of_files(&files).unwrap(), tree);
        let file = |name: &str, id| GitEntry { name: name.to_owned(), kind: GitEntryKind::File, id };
        assert_eq!(git.tree(tree).unwrap().unwrap(), [file("a.zip", two), file("b.tgz", one)]);
        let tool = foreign_file(&git, one, "tool", true).unwrap();
        assert_eq!(git.tree(tool).unwrap().unwrap()[0].kind, GitEntryKind::Executable);
    }

    #[test]
    fn every_file_that_is_not_there_is_named() {
        let (_directory, git) = store();
        let (there, tree) = (git.write_blob(b"1").unwrap(), git.write_tree(Vec::new()).unwrap());
        let gone = GitId::parse(&"12".repeat(20)).unwrap();
        let files = [("a", gone), ("b", there), ("c", tree)];
        let files = files.map(|(name, id)| (name.to_owned(), (id, false))).into();
        let error = distdir_tree(&git, &files).unwrap_err();
        let DistdirError::Unknown { files } = error else { panic!("{error}") };
        assert_eq!(files, [("a".to_owned(), gone), ("c".to_owned(), tree)]);
    }

    #[test]
    fn a_name_is_one_component() {
        let (_directory, git) = store();
        let blob = git.write_blob(b"1").unwrap();
        for name in ["", ".", "..", "a/b", "/a", "a\0", ".git", ".GIT"] {
            assert!(matches!(foreign_file(&git, blob, name, false), Err(DistdirError::Name { .. })), "{name:?}");
        }
    }
}
