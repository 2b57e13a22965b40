//! The input root of an action on disk.
//!
//! A small one is copied for the action alone. A large one is put on disk once
//! and stays for others with the same (`shared.rs`); the action sees it through
//! an overlay, so what it writes goes to a layer of its own. Either way input
//! files are read-only and belong to the user of the action, and none that the
//! action can write to is a file of the store. All inputs have the same time of
//! change, so that no output can depend on when they were laid out.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use super::action::Action;
use super::host::Host;
use super::layers::Layers;
use super::shared::SharedInputs;
use super::work::WorkDirectory;
use super::{Closure, ExecuteError};
use crate::digest::Digest;
use crate::spec::RelativePath;
use crate::store::{Directory, LocalBlobStore, Node, blocking, settle, settle_path};

/// Most entries that an input root may have. Directories that stand at several places count at each.
const MAX_ENTRIES: u64 = 10_000_000;
/// Deepest nesting of directories.
const MAX_DEPTH: usize = 256;
/// Files up to this size are verified in memory.
const SMALL: u64 = 1 << 20;

/// An input root, as the CAS has it.
pub(super) struct Inputs {
    /// Its digest.
    pub(super) root: Digest,
    /// How many files, directories and symlinks it has.
    pub(super) entries: u64,
    /// The bytes of all files.
    pub(super) bytes: u64,
    /// Its directories by digest.
    pub(super) directories: HashMap<Digest, Directory>,
}

/// Puts the inputs of an action into a work directory, and makes the directories that its outputs go to.
///
/// # Errors
/// `MissingBlobs` when a blob has gone since it was checked; `Invalid` when the tree cannot be laid out.
///
/// # Cancel safety
/// Dropping the future leaves the directory being filled for a while.
pub(super) async fn stage(
    store: &LocalBlobStore,
    shared: &SharedInputs,
    action: &Arc<Action>,
    closure: Closure,
    work: &mut WorkDirectory,
) -> Result<(), ExecuteError> {
    let inputs = Arc::new(Inputs::new(action.input_root, closure)?);
    let host = Arc::clone(work.host());
    let copied = !host.overlay || !SharedInputs::worthwhile(&inputs);
    if !copied {
        work.cover(shared.get(store, &host, &inputs).await?).await?;
    }
    let (store, action, layers) = (store.clone(), Arc::clone(action), work.layers());
    blocking(move || {
        if copied {
            inputs.fill(&store, &host, &layers.upper, action.platform.checkpoint)?;
        }
        let make = |field, path: &RelativePath| create_directories(&host, &layers, field, path);
        make("working_directory", &action.working_directory)?;
        action
            .outputs
            .iter()
            .try_for_each(|output| make(output.field, &parent(&action.working_directory, &output.path)))?;
        action.platform.mount_points().try_for_each(|path| make("platform", &path))
    })
    .await
}

/// Returns the directory, below the input root, that an output lies in.
fn parent(working_directory: &RelativePath, output: &RelativePath) -> RelativePath {
    let parent = output.as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
    working_directory.join(parent).expect("the front of a normal path is normal")
}

impl Inputs {
    /// Measures an input root.
    ///
    /// # Errors
    /// `Invalid` when it is too large or too deep.
    pub(super) fn new(root: Digest, closure: Closure) -> Result<Self, ExecuteError> {
        let directories = closure.directories.into_iter().map(|read| (read.digest, read.directory)).collect();
        let mut inputs = Self { root, entries: 0, bytes: 0, directories };
        (inputs.entries, inputs.bytes, _) = inputs.measure(&root, 0, &mut HashMap::new())?;
        Ok(inputs)
    }

    /// Returns the entries, the bytes and the levels below a directory; each is looked at once.
    fn measure(
        &self,
        digest: &Digest,
        depth: usize,
        known: &mut HashMap<Digest, (u64, u64, usize)>,
    ) -> Result<(u64, u64, usize), ExecuteError> {
        let too_deep = || invalid(format!("is nested deeper than {MAX_DEPTH} levels"));
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        if let Some(found) = known.get(digest) {
            return if depth + found.2 > MAX_DEPTH { Err(too_deep()) } else { Ok(*found) };
        }
        let (mut entries, mut bytes, mut height) = (0_u64, 0_u64, 0);
        for (_, node) in self.directory(digest)?.iter() {
            entries = entries.saturating_add(1);
            match node {
                Node::File { digest, .. } => bytes = bytes.saturating_add(digest.size()),
                Node::Symlink { .. } => {}
                Node::Directory { digest } => {
                    let inner = self.measure(digest, depth + 1, known)?;
                    (entries, bytes) = (entries.saturating_add(inner.0), bytes.saturating_add(inner.1));
                    height = height.max(inner.2 + 1);
                }
            }
        }
        if entries > MAX_ENTRIES {
            return Err(invalid(format!("has more than {MAX_ENTRIES} entries")));
        }
        known.insert(*digest, (entries, bytes, height));
        Ok((entries, bytes, height))
    }

    fn directory(&self, digest: &Digest) -> Result<&Directory, ExecuteError> {
        let missing = || ExecuteError::MissingBlobs { digests: vec![*digest] };
        self.directories.get(digest).ok_or_else(missing)
    }

    /// Fills an empty directory, with links to the store or with copies. This blocks.
    ///
    /// # Errors
    /// `MissingBlobs` when a blob has gone; `Invalid` when the file system does not take the tree.
    pub(super) fn fill(
        &self,
        store: &LocalBlobStore,
        host: &Host,
        path: &Path,
        link: bool,
    ) -> Result<(), ExecuteError> {
        self.fill_directory(&Fill { store, host, link }, &self.root, path)
    }

    fn fill_directory(&self, fill: &Fill<'_>, digest: &Digest, path: &Path) -> Result<(), ExecuteError> {
        for (name, node) in self.directory(digest)?.iter() {
            let path = path.join(name);
            match node {
                Node::File { digest, executable } => fill.file(digest, *executable, &path)?,
                Node::Symlink { target } => {
                    let made = symlink(target, &path).and_then(|()| settle_path(&path));
                    made.map_err(refused("make the symlink", &path))?;
                }
                Node::Directory { digest } => {
                    fs::create_dir(&path).map_err(refused("make the directory", &path))?;
                    self.fill_directory(fill, digest, &path)?;
                    settle_path(&path).map_err(ExecuteError::io("set the time of", &path))?;
                }
            }
            fill.host.give(&path).map_err(ExecuteError::io("give away", &path))?;
        }
        Ok(())
    }
}

/// How files are laid out.
struct Fill<'a> {
    store: &'a LocalBlobStore,
    host: &'a Host,
    link: bool,
}

impl Fill<'_> {
    fn file(&self, digest: &Digest, executable: bool, path: &Path) -> Result<(), ExecuteError> {
        let missing = || ExecuteError::MissingBlobs { digests: vec![*digest] };
        if self.link {
            return if self.store.place(digest, executable, path)? { Ok(()) } else { Err(missing()) };
        }
        let file = if digest.size() <= SMALL {
            let bytes = self.store.read(digest)?.ok_or_else(missing)?;
            create(path).and_then(|mut file| io::Write::write_all(&mut file, &bytes).map(|()| file))
        } else {
            let mut source = self.store.open_at(digest, 0)?.ok_or_else(missing)?;
            create(path).and_then(|mut file| io::copy(&mut source, &mut file).map(|_| file))
        };
        let mode = Permissions::from_mode(if executable { 0o555 } else { 0o444 });
        file.and_then(|file| settle(&file).and_then(|()| file.set_permissions(mode)))
            .map_err(refused("write the input", path))
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes the directories on the way to a path. What stands there already must be directories, not links to some.
///
/// # Errors
/// `Invalid` when something else stands there.
pub(super) fn create_directories(
    host: &Host,
    layers: &Layers,
    field: &'static str,
    path: &RelativePath,
) -> Result<(), ExecuteError> {
    let mut at = layers.upper.clone();
    let mut entry = Some(layers.root().map_err(ExecuteError::io("look at", &at))?);
    for name in path.components() {
        at.push(name);
        entry = match entry {
            Some(entry) => entry.child(name.as_ref()).map_err(refused("look at", &at))?,
            None => None,
        };
        match &entry {
            Some(found) if !found.found.is_dir() => {
                let reason = format!("needs the directory `{path}`, but `{name}` is an input of another kind");
                return Err(ExecuteError::Invalid { what: "command", field, reason });
            }
            Some(found) if !found.shared => {}
            _ => {
                fs::create_dir(&at).and_then(|()| host.give(&at)).map_err(refused("make the directory", &at))?;
            }
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
