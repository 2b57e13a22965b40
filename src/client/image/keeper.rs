//! The files of all images, each kept once under its content and what it is like, and linked to where it is wanted.
//!
//! Blobs cannot serve for that: hard links share mode, owner and time, and blobs have those of blobs. A file gets its
//! name here when it is whole, and whoever links it looks whether it still is what it should be.
//!
//! ```text
//! FUNCTION/ab/HASH-SIZE-MODE-UID-GID-MTIME[-XATTRS]
//! tmp/
//! ```

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ioctl_ficlone, linkat, openat, statat, unlinkat};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use crate::client::ClientError;
use crate::container::{FileFacts, content_name};
use crate::digest::{Digest, DigestFunction};
use crate::store::{FileBlobStore, VerifiedRead};

/// Most names that a file gets: ext4 takes 65,000. Tests need not make so many.
const MAX_NAMES: u128 = if cfg!(test) { 100 } else { 60_000 };

/// The files of images whose digests are of one function.
pub(super) struct Keeper {
    base: PathBuf,
    temporary: PathBuf,
    /// By the first byte of the hash.
    prefixes: Vec<File>,
}

/// Where a file is wanted.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// The directory, open.
    pub(super) directory: &'a File,
    /// Its path.
    pub(super) path: &'a Path,
    /// The name of the file there.
    pub(super) name: &'a str,
}

impl Target<'_> {
    fn failed(&self, action: &'static str) -> impl Fn(Errno) -> ClientError {
        let path = self.path.join(self.name);
        move |error| ClientError::io(action, &path)(error.into())
    }
}

impl Keeper {
    /// Opens what is kept below a directory, and makes it when there is nothing.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn open(files: &Path, function: DigestFunction) -> Result<Self, ClientError> {
        let (base, temporary) = (files.join(function.as_str()), files.join("tmp"));
        fs::create_dir_all(&temporary).map_err(ClientError::io("make the directory", &temporary))?;
        let open = |prefix: u8| {
            let path = base.join(format!("{prefix:02x}"));
            match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(&path).map_err(ClientError::io("make the directory", &path))?;
                    File::open(&path).map_err(ClientError::io("open the directory", &path))
                }
                other => other.map_err(ClientError::io("open the directory", &path)),
            }
        };
        let prefixes = (0..=u8::MAX).map(open).collect::<Result<_, _>>()?;
        Ok(Self { base, temporary, prefixes })
    }

    fn prefix(&self, digest: &Digest) -> &File {
        &self.prefixes[usize::from(digest.prefix())]
    }

    fn path(&self, file: &FileFacts) -> PathBuf {
        self.base.join(format!("{:02x}", file.digest.prefix())).join(file.name())
    }

    /// Makes a kept file appear where it is wanted; nothing may be there yet. It will have `names` names there.
    /// Returns whether it is kept. Its content is not looked at, all else is.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn link(&self, file: &FileFacts, target: Target, names: u64) -> Result<bool, ClientError> {
        let (prefix, kept) = (self.prefix(&file.digest), file.name());
        for _ in 0..2 {
            match linkat(prefix, kept.as_str(), target.directory, target.name, AtFlags::empty()) {
                Ok(()) => {}
                Err(Errno::NOENT) => return Ok(false),
                Err(Errno::MLINK) => {
                    self.renew(file)?;
                    continue;
                }
                Err(error) => return Err(target.failed("link a file of an image to")(error)),
            }
            let found = statat(target.directory, target.name, AtFlags::SYMLINK_NOFOLLOW);
            let found = found.map_err(target.failed("look at"))?;
            // The number of links has another type on each architecture.
            let (fits, full) = (file.fit(&found), u128::from(found.st_nlink) + u128::from(names) > MAX_NAMES);
            if fits && !full {
                return Ok(true);
            }
            unlinkat(target.directory, target.name, AtFlags::empty()).map_err(target.failed("remove"))?;
            if !fits {
                self.discard(file)?;
                return Ok(false);
            }
            self.renew(file)?;
        }
        Ok(false)
    }

    /// Says whether a file is kept. It is not looked at.
    pub(super) fn has(&self, file: &FileFacts) -> bool {
        self.path(file).exists()
    }

    /// Removes a file that is not what it should be.
    fn discard(&self, file: &FileFacts) -> Result<(), ClientError> {
        let path = self.path(file);
        tracing::error!(path = %path.display(), "a kept file of images was changed: removed, counts as absent");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ClientError::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Replaces a file that has too many names by a copy that has one.
    fn renew(&self, file: &FileFacts) -> Result<(), ClientError> {
        let path = self.path(file);
        let copy = self.temporary_file()?;
        fs::copy(&path, copy.path()).map_err(ClientError::io("copy", &path))?;
        self.keep(file, copy)
    }

    /// Returns a new temporary file on the file system of what is kept.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn temporary_file(&self) -> Result<NamedTempFile, ClientError> {
        NamedTempFile::new_in(&self.temporary).map_err(ClientError::io("make a file in", &self.temporary))
    }

    /// Keeps a file that has the content of another one.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn keep(&self, file: &FileFacts, content: NamedTempFile) -> Result<(), ClientError> {
        file.facts.set(content.as_file()).map_err(ClientError::io("set the attributes of", content.path()))?;
        let path = self.path(file);
        content.persist(&path).map_err(|error| ClientError::io("put in place", &path)(error.error))?;
        Ok(())
    }

    /// Writes verified bytes to where they are wanted, and keeps the file.
    ///
    /// # Errors
    /// When it cannot be written; nothing may be there yet.
    pub(super) fn write(&self, file: &FileFacts, bytes: &[u8], target: Target) -> Result<(), ClientError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = openat(target.directory, target.name, flags, Mode::RUSR | Mode::WUSR);
        let mut made = File::from(made.map_err(target.failed("make"))?);
        let written = made.write_all(bytes).and_then(|()| file.facts.set(&made));
        written.map_err(ClientError::io("write", &target.path.join(target.name)))?;
        drop(made);
        let kept = file.name();
        match linkat(target.directory, target.name, self.prefix(&file.digest), kept.as_str(), AtFlags::empty()) {
            // Another process made the same.
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(target.failed("keep")(error)),
        }
    }

    /// Finds files with the content of each of the digests, whatever else they are like.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub(super) fn alike(&self, digests: &HashSet<Digest>) -> Result<HashMap<Digest, PathBuf>, ClientError> {
        let wanted: HashMap<String, Digest> = digests.iter().map(|digest| (content_name(digest), *digest)).collect();
        let prefixes: HashSet<u8> = digests.iter().map(Digest::prefix).collect();
        let mut found = HashMap::new();
        for prefix in prefixes {
            let directory = self.base.join(format!("{prefix:02x}"));
            let unreadable = || ClientError::io("read the directory", &directory);
            for entry in fs::read_dir(&directory).map_err(unreadable())? {
                let path = entry.map_err(unreadable())?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                // HASH-SIZE, of HASH-SIZE-MODE…
                let end = name.match_indices('-').nth(1).map_or(name.len(), |(at, _)| at);
                if let Some(digest) = wanted.get(&name[..end]) {
                    found.entry(*digest).or_insert(path);
                }
            }
        }
        Ok(found)
    }

    /// Keeps a copy of another kept file, or of a blob, that shares its bytes on the disk where the file system can.
    /// Returns whether there was one with the right content.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn copy(
        &self,
        file: &FileFacts,
        alike: Option<&Path>,
        blobs: &FileBlobStore,
    ) -> Result<bool, ClientError> {
        let blobs = [false, true].map(|executable| blobs.path(&file.digest, executable));
        for path in alike.into_iter().chain(blobs.iter().map(PathBuf::as_path)) {
            match File::open(path) {
                Ok(source) => {
                    if self.copy_from(file, source, path)? {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ClientError::io("open", path)(error)),
            }
        }
        Ok(false)
    }

    fn copy_from(&self, file: &FileFacts, source: File, path: &Path) -> Result<bool, ClientError> {
        let mut copy = self.temporary_file()?;
        let whole = source.metadata().is_ok_and(|found| found.len() == file.digest.size());
        if !(whole && ioctl_ficlone(copy.as_file(), &source).is_ok()) {
            let mut verified = VerifiedRead::new(file.digest, path.to_owned(), source);
            match io::copy(&mut verified, copy.as_file_mut()) {
                Ok(_) => {}
                // It was removed.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(false),
                Err(error) => return Err(ClientError::io("copy to", copy.path())(error)),
            }
        }
        self.keep(file, copy)?;
        Ok(true)
    }
}
