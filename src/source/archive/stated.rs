//! Entries that are listed with name, Unix mode and size before their content is read: those of zip and 7z.

use std::io::Read;

use super::builder::{self, Leaf};
use super::meter::{Meter, Unpacked};
use super::name::{MAX_PATH, check_target, entry_path, shown};
use super::{ArchiveError, Unpacking};
use crate::spec::RelativePath;
use crate::store::{GitEntryKind, PackError};

/// The type of a file in a Unix mode.
const TYPE: u32 = 0o170_000;

/// An entry as the archive lists it.
pub(super) struct Stated<'a, R> {
    pub(super) name: &'a str,
    /// Whether it is a directory, whatever the mode says.
    pub(super) directory: bool,
    /// Its Unix mode; 0 when that is left unsaid.
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) content: R,
}

/// Takes an entry into the tree.
pub(super) fn take(entry: Stated<impl Read>, meter: &Meter, unpacking: &mut Unpacking) -> Result<(), ArchiveError> {
    let name = entry.name.as_bytes();
    let unsupported = |what| Err(ArchiveError::Unsupported { entry: shown(name), what });
    if entry.name.contains('\\') {
        // Some programs of Windows write it between directories, so it may mean either.
        return Err(ArchiveError::Name { entry: shown(name), what: "contains a backslash" });
    }
    let path = entry_path(name)?;
    match entry.mode & TYPE {
        _ if entry.directory || entry.name.ends_with('/') => unpacking.builder.directory(&path),
        0o040_000 => unpacking.builder.directory(&path),
        0o120_000 => symlink(entry, &path, meter, unpacking),
        0 | 0o100_000 => regular(entry, &path, meter, unpacking),
        0o010_000 => unsupported("a fifo"),
        0o020_000 => unsupported("a character device"),
        0o060_000 => unsupported("a block device"),
        0o140_000 => unsupported("a socket"),
        _ => unsupported("of an unknown type"),
    }
}

fn regular(
    entry: Stated<impl Read>,
    path: &RelativePath,
    meter: &Meter,
    unpacking: &mut Unpacking,
) -> Result<(), ArchiveError> {
    let place = unpacking.builder.reserve(path)?;
    unpacking.check_size(path, entry.size)?;
    let content = Unpacked { inner: entry.content, meter };
    let id = unpacking.pack.blob_from(content, entry.size).map_err(|error| explain(error, path, meter))?;
    let kind = if entry.mode & 0o100 != 0 { GitEntryKind::Executable } else { GitEntryKind::File };
    unpacking.builder.put(place, Leaf { kind, id })
}

fn symlink(
    entry: Stated<impl Read>,
    path: &RelativePath,
    meter: &Meter,
    unpacking: &mut Unpacking,
) -> Result<(), ArchiveError> {
    let place = unpacking.builder.reserve(path)?;
    let mut target = Vec::new();
    let longest = MAX_PATH as u64 + 1;
    let content = Unpacked { inner: entry.content, meter };
    content.take(longest).read_to_end(&mut target).map_err(|error| explain(PackError::Read(error), path, meter))?;
    check_target(path, &target)?;
    let id = unpacking.pack.blob(&target).map_err(|error| builder::written(error, path.as_str()))?;
    unpacking.builder.put(place, Leaf { kind: GitEntryKind::Symlink, id })
}

/// Says what is wrong with the content of an entry. The end of an archive is known before, so it is never cut short.
fn explain(error: PackError, path: &RelativePath, meter: &Meter) -> ArchiveError {
    match error {
        PackError::Read(source) => meter.limit().unwrap_or_else(|| ArchiveError::Read { place: meter.place(), source }),
        error => builder::written(error, path.as_str()),
    }
}
