//! What a command has left behind, taken into the CAS.
//!
//! Nothing of the action runs any more when this does, so nothing moves; but
//! what lies there is hostile all the same: links are never followed.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, FileType, Metadata, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use super::ExecuteError;
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
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
    /// The work directory; the input root is in it.
    pub(super) work: &'a Path,
}

impl Collector<'_> {
    /// Stores those of the outputs that are there, and adds them to the result.
    ///
    /// # Errors
    /// `Output` when one is neither file, directory nor symlink.
    pub(super) fn collect(
        &self,
        working_directory: &RelativePath,
        outputs: &[RelativePath],
        result: &mut reapi::ActionResult,
    ) -> Result<(), ExecuteError> {
        for output in outputs {
            let full = working_directory.join(output.as_str()).expect("a normal path joins to a normal path");
            if let Some((path, found)) = self.locate(&full, output)? {
                self.add(output.to_string(), &path, &found, result)?;
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
    fn locate(&self, full: &RelativePath, output: &RelativePath) -> Result<Option<(PathBuf, Metadata)>, ExecuteError> {
        let mut path = self.work.join("root");
        let look = |path: &Path| fs::symlink_metadata(path).map_err(ExecuteError::io("look at", path));
        let mut found = look(&path)?;
        for name in full.components() {
            if found.is_symlink() {
                return Err(unusable(output.as_str(), "lies behind a symlink"));
            }
            if !found.is_dir() {
                return Ok(None);
            }
            open_up(&path, &found)?;
            path.push(name);
            found = match fs::symlink_metadata(&path) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(refused(output.as_str(), "look at", &path)(error)),
            };
        }
        Ok(Some((path, found)))
    }

    fn add(
        &self,
        output: String,
        path: &Path,
        found: &Metadata,
        result: &mut reapi::ActionResult,
    ) -> Result<(), ExecuteError> {
        let kind = found.file_type();
        if kind.is_dir() {
            let tree = self.tree(&output, path)?;
            result.output_directories.push(reapi::OutputDirectory { path: output, ..tree });
            return Ok(());
        }
        match self.leaf(&output, path, found)? {
            Node::File { digest, executable } => result.output_files.push(reapi::OutputFile {
                path: output,
                digest: Some(digest.into()),
                is_executable: executable,
                ..Default::default()
            }),
            Node::Symlink { target } => {
                result.output_symlinks.push(reapi::OutputSymlink { path: output, target, node_properties: None });
            }
            Node::Directory { .. } => unreachable!("a leaf is no directory"),
        }
        Ok(())
    }

    /// Stores a file, or reads a link.
    fn leaf(&self, output: &str, path: &Path, found: &Metadata) -> Result<Node, ExecuteError> {
        let kind = found.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(refused(output, "read the symlink", path))?;
            let target = target.into_os_string().into_string();
            return Ok(Node::Symlink { target: target.map_err(|_| unusable(output, "has a target not in UTF-8"))? });
        }
        if !kind.is_file() {
            return Err(unusable(output, special(kind)));
        }
        let mode = found.permissions().mode();
        let executable = mode & 0o100 != 0;
        if mode & 0o400 == 0 {
            fs::set_permissions(path, Permissions::from_mode(0o400)).map_err(refused(output, "open up", path))?;
        }
        // Outputs may lie inside each other, so what is here stays here: a second name moves.
        let second = self.work.join("adopted");
        fs::hard_link(path, &second).map_err(refused(output, "link", path))?;
        let digest = self.store.adopt(self.function, &second, executable)?;
        remove(&second)?;
        Ok(Node::File { digest, executable })
    }

    fn tree(&self, output: &str, path: &Path) -> Result<reapi::OutputDirectory, ExecuteError> {
        let mut blobs = Vec::new();
        let root = self.directory(output, path, 0, &mut blobs)?;
        let mut seen = HashSet::new();
        // A directory comes after all that it reaches; kept where it comes first and turned round,
        // the order is topological.
        blobs.retain(|(digest, _)| seen.insert(*digest));
        let mut directories = blobs
            .iter()
            .rev()
            .map(|(_, bytes)| reapi::Directory::decode(bytes.clone()).expect("it has just been encoded"));
        let tree = reapi::Tree { root: directories.next(), children: directories.collect() }.encode_to_vec();
        let digest = self.function.digest(&tree);
        self.store.write(&digest, &tree)?;
        blobs.iter().try_for_each(|(digest, bytes)| self.store.write(digest, bytes))?;
        Ok(reapi::OutputDirectory {
            path: String::new(),
            tree_digest: Some(digest.into()),
            is_topologically_sorted: true,
            root_directory_digest: Some(root.into()),
        })
    }

    /// Stores what a directory holds; returns its digest, and its blob after those of its subdirectories.
    fn directory(
        &self,
        output: &str,
        path: &Path,
        depth: usize,
        blobs: &mut Vec<(Digest, Bytes)>,
    ) -> Result<Digest, ExecuteError> {
        if depth > MAX_DEPTH {
            return Err(unusable(output, "is nested too deep"));
        }
        let found = fs::symlink_metadata(path).map_err(refused(output, "look at", path))?;
        open_up(path, &found)?;
        let mut directory = Directory::default();
        for entry in fs::read_dir(path).map_err(refused(output, "list", path))? {
            let entry = entry.map_err(refused(output, "list", path))?;
            let name = OsString::into_string(entry.file_name());
            let name = name.map_err(|_| unusable(output, "holds a name not in UTF-8"))?;
            let (path, inner) = (entry.path(), format!("{output}/{name}"));
            let found = entry.metadata().map_err(refused(&inner, "look at", &path))?;
            let node = if found.is_dir() {
                Node::Directory { digest: self.directory(&inner, &path, depth + 1, blobs)? }
            } else {
                self.leaf(&inner, &path, &found)?
            };
            directory.insert(name, node).map_err(|_| unusable(&inner, "cannot be an entry of a Directory"))?;
        }
        let bytes = Bytes::from(directory.encode());
        let digest = self.function.digest(&bytes);
        blobs.push((digest, bytes));
        Ok(digest)
    }
}

/// Makes sure that a directory can be read, whatever the command made of its mode.
fn open_up(path: &Path, found: &Metadata) -> Result<(), ExecuteError> {
    if found.permissions().mode() & 0o700 == 0o700 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(ExecuteError::io("open up", path))
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
