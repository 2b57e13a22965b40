//! `tree structure` roots: the shape of another root, without its content.

use std::collections::HashMap;
use std::path::PathBuf;

use super::SourceError;
use super::export::walk;
use super::objects::Import;
use crate::spec::GitId;
use crate::store::{GitEntry, GitEntryKind, GitStore};

/// Writes the tree in which every file and every symlink of `tree` is empty, and returns its id.
///
/// As in just: what is executable stays executable, and a symlink stays a symlink. As its target is
/// then empty, such a tree cannot be put into a CAS; leave symlinks out first where that is needed.
///
/// # Errors
/// `Unknown` or `Incomplete` when the tree is not there.
pub fn tree_structure(git: &GitStore, tree: GitId) -> Result<GitId, SourceError> {
    let walk = walk(git, tree)?.ok_or(SourceError::Unknown { tree })?;
    let mut import = Import::begin(git, walk.trees.len(), 0)?;
    let name = PathBuf::from(tree.to_string());
    let empty = import.blob(&name, b"")?;
    let mut done: HashMap<GitId, GitId> = HashMap::with_capacity(walk.trees.len());
    // Trees come children first.
    for (id, entries) in walk.trees {
        let shape = |entry: GitEntry| {
            let id = match entry.kind {
                GitEntryKind::Tree => *done.get(&entry.id).ok_or(SourceError::Incomplete { tree, id: entry.id })?,
                GitEntryKind::File | GitEntryKind::Executable | GitEntryKind::Symlink => empty,
            };
            Ok(GitEntry { id, ..entry })
        };
        let entries = entries.into_iter().map(shape).collect::<Result<_, SourceError>>()?;
        done.insert(id, import.tree(&name, entries)?);
    }
    import.finish()?;
    done.get(&tree).copied().ok_or(SourceError::Unknown { tree })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::import_path;

    #[test]
    fn files_and_symlinks_are_empty_and_keep_what_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("source");
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        for name in ["a/b/x", "a/y", "z"] {
            std::fs::write(path.join(name), name).unwrap();
        }
        let run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path.join("a/y"), run).unwrap();
        std::os::unix::fs::symlink("a/b", path.join("link")).unwrap();
        let git = GitStore::open(&directory.path().join("git"), &[]).unwrap();
        let shape = tree_structure(&git, import_path(&git, &path).unwrap()).unwrap();

        let mut list = std::process::Command::new("git");
        let output = list.current_dir(git.path()).args(["ls-tree", "-r", &shape.to_string()]).output().unwrap();
        let empty = "blob e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        let expected = format!("100644 {empty}\ta/b/x\n100755 {empty}\ta/y\n120000 {empty}\tlink\n100644 {empty}\tz\n");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        assert_eq!(tree_structure(&git, shape).unwrap(), shape);
    }

    #[test]
    fn an_unknown_tree_has_no_structure() {
        let directory = tempfile::tempdir().unwrap();
        let git = GitStore::open(directory.path(), &[]).unwrap();
        let unknown = GitId::parse(&"12".repeat(20)).unwrap();
        assert!(matches!(tree_structure(&git, unknown), Err(SourceError::Unknown { tree }) if tree == unknown));
    }
}
