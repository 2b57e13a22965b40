//! A directory on disk as a Git tree: the id that `git add` and `git write-tree` would give it.
//!
//! As with Git, an empty directory is not part of a tree, nor is `.git`. Calls block.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::SourceError;
use super::file_ids::FileIds;
use super::objects::{self, Import, PACKED_OBJECTS, not_written};
use crate::spec::GitId;
use crate::store::{GitEntry, GitEntryKind, GitStore, blob_id, blob_id_from, tree_id};

/// Where the objects of a scanned directory go.
trait Objects {
    fn blob(&mut self, path: &Path, bytes: &[u8]) -> Result<GitId, SourceError>;
    fn file(&mut self, path: &Path, found: &Metadata) -> Result<GitId, SourceError>;
    fn tree(&mut self, path: &Path, entries: Vec<GitEntry>) -> Result<GitId, SourceError>;
}

/// Computes ids and keeps nothing.
struct IdsOnly;

impl Objects for IdsOnly {
    fn blob(&mut self, _: &Path, bytes: &[u8]) -> Result<GitId, SourceError> {
        Ok(blob_id(bytes))
    }

    fn file(&mut self, path: &Path, found: &Metadata) -> Result<GitId, SourceError> {
        blob_id_from(objects::open(path)?, found.len()).map_err(|error| not_written(error, path))
    }

    fn tree(&mut self, _: &Path, entries: Vec<GitEntry>) -> Result<GitId, SourceError> {
        Ok(tree_id(entries))
    }
}

/// Computes ids, and those of files only where they are not known.
struct KnownIds(FileIds);

impl Objects for KnownIds {
    fn blob(&mut self, path: &Path, bytes: &[u8]) -> Result<GitId, SourceError> {
        IdsOnly.blob(path, bytes)
    }

    fn file(&mut self, path: &Path, found: &Metadata) -> Result<GitId, SourceError> {
        self.0.id(found, || IdsOnly.file(path, found))
    }

    fn tree(&mut self, path: &Path, entries: Vec<GitEntry>) -> Result<GitId, SourceError> {
        IdsOnly.tree(path, entries)
    }
}

/// Computes ids, and keeps what each tree holds.
#[derive(Default)]
struct TreesOnly(HashMap<GitId, Vec<GitEntry>>);

impl Objects for TreesOnly {
    fn blob(&mut self, path: &Path, bytes: &[u8]) -> Result<GitId, SourceError> {
        IdsOnly.blob(path, bytes)
    }

    fn file(&mut self, path: &Path, found: &Metadata) -> Result<GitId, SourceError> {
        IdsOnly.file(path, found)
    }

    fn tree(&mut self, path: &Path, entries: Vec<GitEntry>) -> Result<GitId, SourceError> {
        let id = IdsOnly.tree(path, entries.clone())?;
        self.0.insert(id, entries);
        Ok(id)
    }
}

impl Objects for Import {
    fn blob(&mut self, path: &Path, bytes: &[u8]) -> Result<GitId, SourceError> {
        self.blob(path, bytes)
    }

    fn file(&mut self, path: &Path, found: &Metadata) -> Result<GitId, SourceError> {
        self.file(path, found.len())
    }

    fn tree(&mut self, path: &Path, entries: Vec<GitEntry>) -> Result<GitId, SourceError> {
        self.tree(path, entries)
    }
}

/// Returns the Git tree id of a directory, and stores nothing.
///
/// # Errors
/// When it cannot be read, or holds what Git does not: devices, sockets, names that are not UTF-8.
pub fn tree_id_of_path(path: &Path) -> Result<GitId, SourceError> {
    scan_root(path, &mut IdsOnly)
}

/// Returns the same, and reads no file again that has not changed since it was last read: `notes` says which there are.
///
/// # Errors
/// As `tree_id_of_path`.
pub fn tree_id_of_path_noting(path: &Path, notes: &Path) -> Result<GitId, SourceError> {
    let mut ids = KnownIds(FileIds::read(notes));
    let tree = scan_root(path, &mut ids)?;
    ids.0.write();
    Ok(tree)
}

/// Returns what the Git tree of a directory holds, and every tree in it, by their ids.
///
/// # Errors
/// As `tree_id_of_path`.
pub fn trees_of_path(path: &Path) -> Result<HashMap<GitId, Vec<GitEntry>>, SourceError> {
    let mut trees = TreesOnly::default();
    scan_root(path, &mut trees)?;
    Ok(trees.0)
}

/// Writes a directory into the Git cache and returns its tree id.
///
/// # Errors
/// As `tree_id_of_path`, and when the cache cannot be written.
pub fn import_path(git: &GitStore, path: &Path) -> Result<GitId, SourceError> {
    let mut extent = Extent::default();
    extent.add(path)?;
    let mut import = Import::begin(git, extent.objects, extent.largest)?;
    let tree = scan_root(path, &mut import)?;
    import.finish()?;
    Ok(tree)
}

/// How much there is to import, looked at only until it is known to be much.
#[derive(Default)]
struct Extent {
    objects: usize,
    largest: u64,
}

impl Extent {
    fn add(&mut self, directory: &Path) -> Result<(), SourceError> {
        let failed = |source| SourceError::Read { path: directory.to_owned(), source };
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if self.objects >= PACKED_OBJECTS {
                return Ok(());
            }
            if entry.file_name() == ".git" {
                continue;
            }
            self.objects += 1;
            let metadata = entry.metadata().map_err(failed)?;
            if metadata.is_dir() {
                self.add(&entry.path())?;
            } else {
                self.largest = self.largest.max(metadata.len());
            }
        }
        Ok(())
    }
}

fn scan_root(path: &Path, objects: &mut impl Objects) -> Result<GitId, SourceError> {
    let entries = scan(path, objects)?;
    objects.tree(path, entries)
}

fn scan(directory: &Path, objects: &mut impl Objects) -> Result<Vec<GitEntry>, SourceError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SourceError::Read { path, source }
    };
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let entry = entry.map_err(failed(directory))?;
        let path = entry.path();
        let unsupported = |what| SourceError::Unsupported { path: path.clone(), what };
        let name = entry.file_name().into_string().map_err(|_| unsupported("its name is not UTF-8"))?;
        if name == ".git" {
            continue;
        }
        let metadata = entry.metadata().map_err(failed(&path))?;
        let kind = metadata.file_type();
        let (kind, id) = if kind.is_dir() {
            let inner = scan(&path, objects)?;
            if inner.is_empty() {
                continue;
            }
            (GitEntryKind::Tree, objects.tree(&path, inner)?)
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(failed(&path))?;
            (GitEntryKind::Symlink, objects.blob(&path, target.as_os_str().as_bytes())?)
        } else if kind.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            let id = objects.file(&path, &metadata)?;
            (if executable { GitEntryKind::Executable } else { GitEntryKind::File }, id)
        } else {
            return Err(unsupported("it is neither file, directory nor symlink"));
        };
        entries.push(GitEntry { name, kind, id });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::objects::HELD_BYTES;
    use super::*;

    fn git(directory: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git").arg("-C").arg(directory).args(arguments).output().expect("git runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    fn sample(directory: &Path) {
        for at in ["a/deep/er", "a.b", "empty", "ab"] {
            fs::create_dir_all(directory.join(at)).expect("temporary");
        }
        // `a`, `a.b` and `a0` sort differently as directories and as files.
        for (at, text) in
            [("a/x", "1"), ("a/deep/er/y", ""), ("a.b/z", "2"), ("a0", "3"), ("ab/c", "é\n"), ("run", "#")]
        {
            fs::write(directory.join(at), text).expect("temporary");
        }
        fs::set_permissions(directory.join("run"), fs::Permissions::from_mode(0o755)).expect("temporary");
        std::os::unix::fs::symlink("a/x", directory.join("link")).expect("temporary");
        std::os::unix::fs::symlink("a", directory.join("ab/dangling")).expect("temporary");
    }

    #[test]
    fn the_id_is_the_one_that_git_computes() {
        let directory = tempfile::tempdir().expect("temporary");
        sample(directory.path());
        let id = tree_id_of_path(directory.path()).expect("readable");
        git(directory.path(), &["init", "-q"]);
        git(directory.path(), &["add", "-A"]);
        assert_eq!(id.to_string(), git(directory.path(), &["write-tree"]));
    }

    #[test]
    fn what_is_imported_can_be_read_by_git() {
        let directory = tempfile::tempdir().expect("temporary");
        let source = directory.path().join("source");
        fs::create_dir(&source).expect("temporary");
        sample(&source);
        let store = GitStore::open(&directory.path().join("cache"), &[]).expect("made");
        let id = import_path(&store, &source).expect("imported");
        assert_eq!(id, tree_id_of_path(&source).expect("readable"));
        let listed = git(store.path(), &["ls-tree", "-r", "--name-only", &id.to_string()]);
        assert_eq!(listed.lines().count(), 8);
        git(store.path(), &["fsck", "--strict"]);
    }

    #[test]
    fn a_small_directory_becomes_loose_objects_and_a_large_one_a_pack() {
        let directory = tempfile::tempdir().expect("temporary");
        let source = directory.path().join("source");
        let packs = |store: &GitStore| {
            let files = fs::read_dir(store.path().join("objects/pack")).into_iter().flatten().flatten();
            files.filter(|file| file.path().extension().is_some_and(|end| end == "pack")).count()
        };
        fs::create_dir_all(source.join("sub")).expect("temporary");
        for (files, largest, expected) in [(200, 0, 0), (300, 0, 1), (10, HELD_BYTES + 1, 1)] {
            remove_files(&source);
            for number in 0..files {
                fs::write(source.join(format!("sub/{number}")), number.to_string()).expect("temporary");
            }
            let large = vec![b'x'; usize::try_from(largest).expect("small")];
            fs::write(source.join("large"), large).expect("temporary");
            let cache = directory.path().join(format!("cache-{files}"));
            let store = GitStore::open(&cache, &[]).expect("made");
            let id = import_path(&store, &source).expect("imported");
            assert_eq!(id, tree_id_of_path(&source).expect("readable"));
            assert_eq!(packs(&store), expected, "{files} files");
            git(&cache, &["fsck", "--strict", "--full"]);
            assert_eq!(git(&cache, &["ls-tree", "-r", "--name-only", &id.to_string()]).lines().count(), files + 1);
            import_path(&store, &source).expect("imported once more");
            assert_eq!(packs(&store), expected, "{files} files that are there");
        }
    }

    fn remove_files(source: &Path) {
        fs::remove_dir_all(source.join("sub")).expect("temporary");
        fs::create_dir(source.join("sub")).expect("temporary");
    }

    #[test]
    fn a_file_of_another_size_than_was_seen_is_named() {
        let directory = tempfile::tempdir().expect("temporary");
        let path = directory.path().join("f");
        fs::write(&path, "three").expect("temporary");
        let seen = fs::metadata(&path).expect("there");
        fs::write(&path, "four").expect("temporary");
        let store = GitStore::open(&directory.path().join("cache"), &[]).expect("made");
        let mut import = Import::begin(&store, PACKED_OBJECTS, 0).expect("begun");
        for error in [import.file(&path, 3), IdsOnly.file(&path, &seen)] {
            assert!(matches!(error, Err(SourceError::Modified { path: named }) if named == path));
        }
    }

    #[test]
    fn a_socket_cannot_be_part_of_a_tree() {
        let directory = tempfile::tempdir().expect("temporary");
        let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("s")).expect("temporary");
        let error = tree_id_of_path(directory.path()).expect_err("a socket");
        assert!(matches!(error, SourceError::Unsupported { .. }), "{error}");
    }
}
