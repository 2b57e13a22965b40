//! What a command has left behind, taken into the CAS.
//!
//! Nothing of the action runs any more when this does, so nothing moves; but
//! what lies there is hostile all the same: links are never followed.

use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, FileType, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use prost::Message;

use super::ExecuteError;
use super::action::{Action, Output};
use super::host::Host;
use super::layers::{Entry, Layers};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::proto::reapi::command::OutputDirectoryFormat;
use crate::spec::RelativePath;
use crate::store::{Directory, LocalBlobStore, Node};

/// Deepest nesting of directories in an output.
const MAX_DEPTH: usize = 256;

/// Takes outputs into the store.
pub(super) struct Collector<'a> {
    /// The store.
    pub(super) store: &'a LocalBlobStore,
    /// The function of the digests.
    pub(super) function: DigestFunction,
    /// The host, which gave files to the user of the action.
    pub(super) host: &'a Host,
    /// The work directory.
    pub(super) work: &'a Path,
    /// The input root in it, as the command left it.
    pub(super) layers: &'a Layers,
    /// Bytes that may still be taken.
    pub(super) room: Room,
}

/// How much may be taken of one action.
pub(super) struct Room {
    limit: u64,
    left: Cell<u64>,
}

impl Room {
    /// Returns room for so many bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, left: Cell::new(limit) }
    }

    fn take(&self, bytes: u64) -> Result<(), ExecuteError> {
        let left = self.left.get().checked_sub(bytes).ok_or(ExecuteError::OutputsTooLarge { limit: self.limit })?;
        self.left.set(left);
        Ok(())
    }
}

impl Collector<'_> {
    /// Stores those of the outputs that are there, and adds them to the result.
    ///
    /// # Errors
    /// `Output` when one cannot be taken, or is not what its field of the command says.
    pub(super) fn collect(&self, action: &Action, result: &mut reapi::ActionResult) -> Result<(), ExecuteError> {
        for output in &action.outputs {
            let full = action.working_directory.join(output.path.as_str());
            let full = full.expect("a normal path joins to a normal path");
            if let Some(entry) = self.locate(&full, &output.path)? {
                self.add(output, action.format, &entry, result)?;
            }
        }
        Ok(())
    }

    /// Stores a captured log. There is none when it is empty.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn log(&self, name: &str) -> Result<Option<reapi::Digest>, ExecuteError> {
        let path = self.work.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.len() > 0 => Ok(Some(self.store.adopt(self.function, &path, false)?.into())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ExecuteError::io("look at", &path)(error)),
        }
    }

    /// Finds an output, a name at a time, so that no link leads elsewhere.
    fn locate(&self, full: &RelativePath, output: &RelativePath) -> Result<Option<Entry>, ExecuteError> {
        let mut entry = self.layers.root().map_err(ExecuteError::io("look at", &self.layers.upper))?;
        for name in full.components() {
            if entry.found.is_symlink() {
                return Err(unusable(output.as_str(), "lies behind a symlink"));
            }
            if !entry.found.is_dir() {
                return Ok(None);
            }
            let child = entry.child(name.as_ref()).map_err(refused(output.as_str(), "look into", &entry.path))?;
            let Some(child) = child else { return Ok(None) };
            entry = child;
        }
        Ok(Some(entry))
    }

    #[expect(deprecated, reason = "clients of API 2.0 look for symlinks there")]
    fn add(
        &self,
        output: &Output,
        format: OutputDirectoryFormat,
        entry: &Entry,
        result: &mut reapi::ActionResult,
    ) -> Result<(), ExecuteError> {
        let path = output.path.to_string();
        if entry.found.is_dir() {
            if output.field == Output::FILE {
                return Err(unusable(&path, "is a directory, but is named as a file"));
            }
            let tree = self.tree(&path, format, entry)?;
            result.output_directories.push(reapi::OutputDirectory { path, ..tree });
            return Ok(());
        }
        match self.leaf(&path, entry)? {
            Node::File { .. } if output.field == Output::DIRECTORY => {
                return Err(unusable(&path, "is a file, but is named as a directory"));
            }
            Node::File { digest, executable } => result.output_files.push(reapi::OutputFile {
                path,
                digest: Some(digest.into()),
                is_executable: executable,
                ..Default::default()
            }),
            Node::Symlink { target } => {
                let links = match output.field {
                    Output::FILE => &mut result.output_file_symlinks,
                    Output::DIRECTORY => &mut result.output_directory_symlinks,
                    _ => &mut result.output_symlinks,
                };
                links.push(reapi::OutputSymlink { path, target, node_properties: None });
            }
            Node::Directory { .. } => unreachable!("a leaf is no directory"),
        }
        Ok(())
    }

    /// Stores a file, or reads a link.
    fn leaf(&self, output: &str, entry: &Entry) -> Result<Node, ExecuteError> {
        let (path, kind) = (&entry.path, entry.found.file_type());
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(refused(output, "read the symlink", path))?;
            let target = target.into_os_string().into_string();
            return Ok(Node::Symlink { target: target.map_err(|_| unusable(output, "has a target not in UTF-8"))? });
        }
        if !kind.is_file() {
            return Err(unusable(output, special(kind)));
        }
        self.room.take(entry.found.len())?;
        let executable = entry.found.permissions().mode() & 0o100 != 0;
        // Outputs may lie inside each other, so what is here stays here: a second name moves.
        // Of what others share, a copy does.
        let second = self.work.join("adopted");
        if entry.shared {
            fs::copy(path, &second).map_err(refused(output, "copy", path))?;
        } else {
            fs::hard_link(path, &second).map_err(refused(output, "link", path))?;
            self.host.take_back(&second).map_err(refused(output, "take back", path))?;
            // Another output may be the same file, and its mode is still to be looked at.
            let mode = if executable { 0o500 } else { 0o400 };
            fs::set_permissions(&second, Permissions::from_mode(mode)).map_err(refused(output, "open up", path))?;
        }
        let digest = self.store.adopt(self.function, &second, executable)?;
        remove(&second)?;
        Ok(Node::File { digest, executable })
    }

    fn tree(
        &self,
        output: &str,
        format: OutputDirectoryFormat,
        entry: &Entry,
    ) -> Result<reapi::OutputDirectory, ExecuteError> {
        let mut blobs = Vec::new();
        let root = self.directory(output, entry, 0, &mut blobs)?;
        let mut seen = HashSet::new();
        // A directory comes after all that it reaches; kept where it comes first and turned round,
        // the order is topological.
        blobs.retain(|(digest, _)| seen.insert(*digest));
        let mut result = reapi::OutputDirectory::default();
        if format != OutputDirectoryFormat::TreeOnly {
            blobs.iter().try_for_each(|(digest, bytes)| self.store.write(digest, bytes))?;
            result.root_directory_digest = Some(root.into());
        }
        if format != OutputDirectoryFormat::DirectoryOnly {
            let mut directories = blobs
                .iter()
                .rev()
                .map(|(_, bytes)| reapi::Directory::decode(bytes.clone()).expect("it has just been encoded"));
            let tree = reapi::Tree { root: directories.next(), children: directories.collect() }.encode_to_vec();
            let digest = self.function.digest(&tree);
            self.store.write(&digest, &tree)?;
            result.tree_digest = Some(digest.into());
            result.is_topologically_sorted = true;
        }
        Ok(result)
    }

    /// Stores what a directory holds; returns its digest, and its blob after those of its subdirectories.
    fn directory(
        &self,
        output: &str,
        entry: &Entry,
        depth: usize,
        blobs: &mut Vec<(Digest, Bytes)>,
    ) -> Result<Digest, ExecuteError> {
        if depth > MAX_DEPTH {
            return Err(unusable(output, "is nested too deep"));
        }
        let mut directory = Directory::default();
        for (name, child) in entry.children().map_err(refused(output, "list", &entry.path))? {
            let name = OsString::into_string(name);
            let name = name.map_err(|_| unusable(output, "holds a name not in UTF-8"))?;
            let inner = format!("{output}/{name}");
            let node = if child.found.is_dir() {
                Node::Directory { digest: self.directory(&inner, &child, depth + 1, blobs)? }
            } else {
                self.leaf(&inner, &child)?
            };
            directory.insert(name, node).map_err(|_| unusable(&inner, "cannot be an entry of a Directory"))?;
        }
        let bytes = Bytes::from(directory.encode());
        let digest = self.function.digest(&bytes);
        blobs.push((digest, bytes));
        Ok(digest)
    }
}

fn remove(path: &Path) -> Result<(), ExecuteError> {
    match fs::remove_file(path) {
        // It is still there when the very same file was in the store already.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ExecuteError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn special(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "is a named pipe; files, directories and symlinks can be outputs"
    } else if kind.is_socket() {
        "is a socket; files, directories and symlinks can be outputs"
    } else {
        "is a device; files, directories and symlinks can be outputs"
    }
}

/// Tells trees too deep for a path from failures of this host.
fn refused(output: &str, action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ExecuteError {
    let failed = ExecuteError::io(action, path);
    move |error| match error.kind() {
        io::ErrorKind::InvalidFilename => unusable(output, "is nested too deep"),
        _ => failed(error),
    }
}

fn unusable(output: &str, what: &'static str) -> ExecuteError {
    ExecuteError::Output { path: output.chars().take(200).collect(), what }
}
