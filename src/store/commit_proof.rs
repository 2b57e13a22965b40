//! Proofs of what tree a commit has: the Git objects from the commit to the directory asked for.
//!
//! Each names the next by its id, so whoever has them can check them, and needs nothing else of the commit. They are
//! not kept: a tree without its content would look as if it were known. Calls block.

use git2::{ObjectType, Odb, Repository};

use super::git::{commit_tree, oid};
use super::{GitStore, StoreError};
use crate::spec::{GitId, RelativePath};

/// Where in an object database without others the objects of a proof are.
const PRIORITY: i32 = 1;

impl GitStore {
    /// Returns the objects that lead from a commit to a directory in it; `None` when the commit is not here.
    ///
    /// # Errors
    /// When an object cannot be read.
    pub fn commit_proof(&self, commit: GitId, subdir: &RelativePath) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        self.find("read commit", commit, |repository, id| {
            let odb = repository.odb()?;
            let mut objects = vec![odb.read(id)?.data().to_vec()];
            let mut tree = repository.find_commit(id)?.tree()?;
            for name in subdir.components() {
                objects.push(odb.read(tree.id())?.data().to_vec());
                let entry = tree.get_name(name).map(|entry| entry.id());
                let missing =
                    || git2::Error::new(git2::ErrorCode::NotFound, git2::ErrorClass::Tree, "no such directory");
                tree = repository.find_tree(entry.ok_or_else(missing)?)?;
            }
            if subdir.is_root() {
                objects.push(odb.read(tree.id())?.data().to_vec());
            }
            Ok(objects)
        })
    }
}

/// Returns the tree id of a directory in a commit, as the objects of a proof show it; `None` when they do not.
///
/// # Errors
/// When they cannot be looked at.
pub fn check_commit_proof(
    commit: GitId,
    subdir: &RelativePath,
    objects: &[Vec<u8>],
) -> Result<Option<GitId>, StoreError> {
    let failed = |source| StoreError::Git { action: "check the proof of commit", id: commit, source };
    let Some((first, trees)) = objects.split_first() else { return Ok(None) };
    let odb = Odb::new().map_err(failed)?;
    let _in_memory = odb.add_new_mempack_backend(PRIORITY).map_err(failed)?;
    if odb.write(ObjectType::Commit, first).map_err(failed)? != oid(commit).map_err(failed)? {
        return Ok(None);
    }
    for tree in trees {
        odb.write(ObjectType::Tree, tree).map_err(failed)?;
    }
    let repository = Repository::from_odb(odb).map_err(failed)?;
    // Whatever is missing or malformed proves nothing.
    Ok(commit_tree(&repository, commit, subdir).ok().and_then(Result::ok).flatten())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn git(directory: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.arg("-C").arg(directory).args(["-c", "user.name=n", "-c", "user.email=e"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn a_proof_shows_the_tree_of_a_directory_and_nothing_else_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::write(path.join("a/b/c"), "1").unwrap();
        git(path, &["init", "-q"]);
        git(path, &["add", "-A"]);
        git(path, &["commit", "-qm", "all"]);
        let id = |name: &str| GitId::parse(&git(path, &["rev-parse", name])).unwrap();
        let store = GitStore::open(&path.join(".git"), &[]).unwrap();
        let commit = id("HEAD");
        for subdir in ["", "a", "a/b"] {
            let at = RelativePath::parse(subdir).unwrap();
            let proof = store.commit_proof(commit, &at).unwrap().unwrap();
            let tree = id(&format!("HEAD:{subdir}"));
            assert_eq!(check_commit_proof(commit, &at, &proof).unwrap(), Some(tree), "{subdir}");
            for without in 0..proof.len() {
                let mut less = proof.clone();
                less.remove(without);
                assert_eq!(check_commit_proof(commit, &at, &less).unwrap(), None, "{subdir} {without}");
            }
            let mut forged = proof.clone();
            let last = forged.last_mut().unwrap();
            let at_end = last.len() - 1;
            last[at_end] ^= 1;
            assert_eq!(check_commit_proof(commit, &at, &forged).unwrap(), None, "{subdir}");
            let other = GitId::parse(&"12".repeat(20)).unwrap();
            assert_eq!(check_commit_proof(other, &at, &proof).unwrap(), None);
            assert!(store.commit_proof(other, &at).unwrap().is_none());
        }
        let nowhere = RelativePath::parse("nowhere").unwrap();
        let proof = store.commit_proof(commit, &RelativePath::root()).unwrap().unwrap();
        assert_eq!(check_commit_proof(commit, &nowhere, &proof).unwrap(), None);
        assert_eq!(check_commit_proof(commit, &nowhere, &[b"tree ".to_vec(), Vec::new()]).unwrap(), None);
    }
}
