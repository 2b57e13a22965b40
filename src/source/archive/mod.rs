//! From an archive to a Git tree, without a file on the disk in between.
//!
//! An archive is read once, as a stream; its files go into one pack of the Git
//! cache, which is put in place when the archive turned out to be whole and
//! sound. Of one that is refused nothing is left. The tree is the one that
//! Git computes of the unpacked archive: modes by the owner's executable bit,
//! no empty directories. Symlinks are kept as they are, also those that leave
//! the tree, as in roots of other types; the environment refuses these.

mod builder;
mod compression;
mod error;
mod limits;
mod meter;
mod name;
pub mod properties;
mod sevenz;
mod stated;
mod tar;
#[cfg(test)]
mod tests;
mod zip;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

pub(crate) use compression::{Compression, Decoder};
pub use error::{ArchiveError, Place};
pub use limits::{CaseCollisions, Limits};

use builder::Builder;

use crate::spec::{GitId, RelativePath};
use crate::store::{GitStore, PackWriter};

/// Which kind of archive a file is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// A tar archive, plain or compressed by gzip, bzip2, xz, zstd or lz4.
    Tar,
    /// A zip or 7z archive.
    Zip,
}

/// Writes the tree of an archive into the Git cache and returns the id of its directory `subdir`.
///
/// # Errors
/// When the archive cannot be read to its end, is unsound or exceeds a limit; the cache is then as before.
pub fn unpack(
    git: &GitStore,
    archive: &Path,
    kind: ArchiveKind,
    subdir: &RelativePath,
    limits: &Limits,
) -> Result<GitId, ArchiveError> {
    let opened = File::open(archive).map_err(|source| ArchiveError::Open { path: archive.to_owned(), source })?;
    unpack_from(git, opened, kind, subdir, limits)
}

/// As `unpack`, of an archive that is read from anywhere.
///
/// # Errors
/// As `unpack`.
pub fn unpack_from(
    git: &GitStore,
    mut archive: impl Read + Seek,
    kind: ArchiveKind,
    subdir: &RelativePath,
    limits: &Limits,
) -> Result<GitId, ArchiveError> {
    let mut unpacking = Unpacking { pack: git.pack()?, builder: Builder::new(limits), limits };
    match kind {
        ArchiveKind::Tar => tar::read(archive, &mut unpacking)?,
        ArchiveKind::Zip if sevenz::recognise(&mut archive)? => sevenz::read(archive, &mut unpacking)?,
        ArchiveKind::Zip => zip::read(archive, &mut unpacking)?,
    }
    let Unpacking { mut pack, builder, .. } = unpacking;
    let tree = builder.finish(&mut pack, subdir)?;
    pack.finish()?;
    Ok(tree)
}

impl std::fmt::Display for ArchiveKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tar => "archive",
            Self::Zip => "zip",
        })
    }
}

/// What an archive is unpacked into.
struct Unpacking<'a> {
    pack: PackWriter,
    builder: Builder<'a>,
    limits: &'a Limits,
}

impl Unpacking<'_> {
    fn check_size(&self, path: &RelativePath, bytes: u64) -> Result<(), ArchiveError> {
        let limit = self.limits.max_file_bytes;
        let entry = || name::shown(path.as_str().as_bytes());
        if bytes > limit { Err(ArchiveError::FileBytes { entry: entry(), bytes, limit }) } else { Ok(()) }
    }
}
