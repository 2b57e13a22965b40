//! A copy of a root file system that is the user's own.
//!
//! Files that are equal share an inode where the image lies; in a copy, which may be changed, only those do that are
//! one file in the image.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, UTIME_OMIT, XattrFlags, lgetxattr, llistxattr, lsetxattr,
    mknodat, utimensat,
};
use rustix::io::Errno;

use super::root::RootFileSystem;
use crate::client::ClientError;
use crate::client::install::install_by;
use crate::container::Owner;

/// Longest list of extended attributes, and longest value of one.
const MAX_XATTRS: usize = 64 << 10;

/// Copies a root file system, with all that its files are like, to a directory that does not exist or is empty. Blocks.
///
/// # Errors
/// `Occupied` when something is there already.
pub fn install_root(root: &RootFileSystem, directory: &Path) -> Result<(), ClientError> {
    let copy = Copy { links: root.links()?, owner: Owner::current()? };
    let from = root.directory();
    install_by(directory, |to| {
        fs::create_dir(to).map_err(ClientError::io("make the directory", to))?;
        copy.fill(&from, to, "")?;
        for (path, first) in &copy.links {
            let (path, first) = (to.join(path), to.join(first));
            fs::hard_link(&first, &path).map_err(ClientError::io("make the hard link", &path))?;
        }
        copy.settle(&from, to)
    })
}

struct Copy {
    /// Paths of files that have another one before.
    links: BTreeMap<String, String>,
    owner: Owner,
}

impl Copy {
    /// Copies what a directory contains, without the attributes of directories.
    fn fill(&self, from: &Path, to: &Path, within: &str) -> Result<(), ClientError> {
        for entry in fs::read_dir(from).map_err(ClientError::io("read", from))? {
            let entry = entry.map_err(ClientError::io("read", from))?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            let found = entry.metadata().map_err(ClientError::io("look at", &source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if within.is_empty() { name } else { format!("{within}/{name}") };
            if found.is_dir() {
                fs::create_dir(&target).map_err(ClientError::io("make the directory", &target))?;
                self.fill(&source, &target, &path)?;
            } else if !self.links.contains_key(&path) {
                leaf(&source, &target, &found).map_err(ClientError::io("copy to", &target))?;
                self.attributes(&source, &target, &found)?;
            }
        }
        Ok(())
    }

    /// Gives directories their attributes, from the inside out.
    fn settle(&self, from: &Path, to: &Path) -> Result<(), ClientError> {
        for entry in fs::read_dir(from).map_err(ClientError::io("read", from))? {
            let entry = entry.map_err(ClientError::io("read", from))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.settle(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
        let found = fs::symlink_metadata(from).map_err(ClientError::io("look at", from))?;
        self.attributes(from, to, &found)
    }

    fn attributes(&self, from: &Path, to: &Path, found: &Metadata) -> Result<(), ClientError> {
        self.set(from, to, found).map_err(ClientError::io("set the attributes of", to))
    }

    fn set(&self, from: &Path, to: &Path, found: &Metadata) -> io::Result<()> {
        if self.owner == Owner::Image {
            lchown(to, Some(found.uid()), Some(found.gid()))?;
        }
        if found.is_file() || found.is_dir() {
            copy_xattrs(from, to)?;
        }
        if !found.is_symlink() {
            fs::set_permissions(to, Permissions::from_mode(found.mode() & 0o7777))?;
        }
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: found.mtime(), tv_nsec: found.mtime_nsec() },
        };
        Ok(utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// Copies what is no directory.
fn leaf(from: &Path, to: &Path, found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    if kind.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if kind.is_file() {
        // Shares the extents where the file system can.
        let (mut source, mut target) = (File::open(from)?, File::create_new(to)?);
        return io::copy(&mut source, &mut target).map(drop);
    }
    let kind = match (kind.is_fifo(), kind.is_char_device()) {
        (true, _) => FileType::Fifo,
        (_, true) => FileType::CharacterDevice,
        (false, false) => FileType::BlockDevice,
    };
    Ok(mknodat(CWD, to, kind, Mode::RUSR, found.rdev())?)
}

/// Copies those extended attributes that layers carry.
fn copy_xattrs(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = vec![0; MAX_XATTRS];
    let length = match llistxattr(from, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        other => other?,
    };
    for name in names[..length].split(|byte| *byte == 0) {
        if !name.starts_with(b"user.") && name != b"security.capability" {
            continue;
        }
        let mut value = vec![0; MAX_XATTRS];
        let length = lgetxattr(from, name, &mut value[..])?;
        lsetxattr(to, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}
