//! The input root of an action on disk.
//!
//! Files are copies: the command may write to them, and must never be able to
//! write to a file of the store, which a hard link would allow.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

use super::action::Action;
use super::{Closure, ExecuteError};
use crate::digest::Digest;
use crate::spec::RelativePath;
use crate::store::{Directory, LocalBlobStore, Node, blocking};

/// Most entries that an input root may have. Directories that stand at several places count at each.
const MAX_ENTRIES: usize = 10_000_000;
/// Deepest nesting of directories.
const MAX_DEPTH: usize = 256;
/// Files up to this size are verified in memory.
const SMALL: u64 = 1 << 20;

/// Fills the empty directory `root` with the inputs of an action and the directories that its outputs go to.
///
/// # Errors
/// `MissingBlobs` when a blob has gone since it was checked; `Invalid` when the tree cannot be laid out.
///
/// # Cancel safety
/// Dropping the future leaves `root` being filled for a while.
pub(super) async fn stage(
    store: &LocalBlobStore,
    action: &Action,
    closure: Closure,
    root: &Path,
) -> Result<(), ExecuteError> {
    let directories = closure.directories.into_iter().map(|read| (read.digest, read.directory)).collect();
    let mut stage = Stage { store: store.clone(), directories, entries: 0 };
    let parents = action.outputs.iter().map(|output| parent(&action.working_directory, output)).collect::<Vec<_>>();
    let (input_root, working_directory, root) = (action.input_root, action.working_directory.clone(), root.to_owned());
    blocking(move || {
        stage.fill(input_root, &root, 0)?;
        create_directories(&root, "working_directory", &working_directory)?;
        parents.iter().try_for_each(|parent| create_directories(&root, "output_paths", parent))
    })
    .await
}

/// Returns the directory, below the input root, that an output lies in.
fn parent(working_directory: &RelativePath, output: &RelativePath) -> RelativePath {
    let parent = output.as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
    working_directory.join(parent).expect("the front of a normal path is normal")
}

struct Stage {
    store: LocalBlobStore,
    directories: HashMap<Digest, Directory>,
    entries: usize,
}

impl Stage {
    fn fill(&mut self, digest: Digest, path: &Path, depth: usize) -> Result<(), ExecuteError> {
        let missing = || ExecuteError::MissingBlobs { digests: vec![digest] };
        let directory = self.directories.get(&digest).cloned().ok_or_else(missing)?;
        if depth > MAX_DEPTH {
            return Err(invalid(format!("is nested deeper than {MAX_DEPTH} levels")));
        }
        for (name, node) in directory.iter() {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(invalid(format!("has more than {MAX_ENTRIES} entries")));
            }
            let path = path.join(name);
            match node {
                Node::File { digest, executable } => self.copy(digest, *executable, &path)?,
                Node::Symlink { target } => symlink(target, &path).map_err(refused("make the symlink", &path))?,
                Node::Directory { digest } => {
                    fs::create_dir(&path).map_err(refused("make the directory", &path))?;
                    self.fill(*digest, &path, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn copy(&self, digest: &Digest, executable: bool, path: &Path) -> Result<(), ExecuteError> {
        let missing = || ExecuteError::MissingBlobs { digests: vec![*digest] };
        let copied = if digest.size() <= SMALL {
            let bytes = self.store.read(digest)?.ok_or_else(missing)?;
            create(path, executable).and_then(|mut file| io::Write::write_all(&mut file, &bytes))
        } else {
            let mut source = self.store.open_at(digest, 0)?.ok_or_else(missing)?;
            create(path, executable).and_then(|mut file| io::copy(&mut source, &mut file).map(|_| ()))
        };
        copied.map_err(refused("write the input", path))
    }
}

fn create(path: &Path, executable: bool) -> io::Result<File> {
    let mode = if executable { 0o755 } else { 0o644 };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Makes the directories on the way to a path. What stands there already must be directories, not links to some.
fn create_directories(root: &Path, field: &'static str, path: &RelativePath) -> Result<(), ExecuteError> {
    let mut at = root.to_owned();
    for name in path.components() {
        at.push(name);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                let reason = format!("needs the directory `{path}`, but `{name}` is an input of another kind");
                return Err(ExecuteError::Invalid { what: "command", field, reason });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&at).map_err(refused("make the directory", &at))?;
            }
            Err(error) => return Err(refused("look at", &at)(error)),
        }
    }
    Ok(())
}

/// Tells paths that no file system takes from failures of this host.
fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ExecuteError {
    let failed = ExecuteError::io(action, path);
    move |error| match error.kind() {
        io::ErrorKind::InvalidFilename => invalid("has a longer path than the system takes".to_owned()),
        _ => failed(error),
    }
}

fn invalid(reason: String) -> ExecuteError {
    ExecuteError::Invalid { what: "action", field: "input_root_digest", reason }
}
