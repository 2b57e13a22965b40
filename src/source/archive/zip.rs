//! Zip archives, read by their central directory.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::builder::{self, Leaf};
use super::meter::{Meter, Unpacked};
use super::name::{MAX_PATH, check_target, entry_path, shown};
use super::{ArchiveError, Unpacking};
use crate::spec::RelativePath;
use crate::store::{GitEntryKind, PackError};

/// The type of a file in a Unix mode.
const TYPE: u32 = 0o170_000;
/// The first bytes of a record of the central directory, and its bytes up to the name.
const RECORD: [u8; 4] = *b"PK\x01\x02";
const RECORD_BYTES: usize = 46;

/// Reads all entries of an archive.
pub(super) fn read(mut archive: impl Read + Seek, unpacking: &mut Unpacking) -> Result<(), ArchiveError> {
    let limits = unpacking.limits;
    let meter = Meter::new(limits);
    let size = archive.seek(SeekFrom::End(0)).map_err(|error| meter.explain(error))?;
    meter.packed(size);
    let failed = |source, meter: &Meter| match source {
        ZipError::Io(error) => meter.explain(error),
        source => ArchiveError::Zip { place: meter.place(), source },
    };
    let mut zip = ZipArchive::new(archive).map_err(|error| failed(error, &meter))?;
    if zip.len() > limits.max_entries {
        return Err(ArchiveError::Entries { limit: limits.max_entries });
    }
    for index in 0..zip.len() {
        let name = zip.name_for_index(index).map(|name| shown(name.as_bytes())).unwrap_or_default();
        meter.at(name.clone());
        let mut file = zip.by_index(index).map_err(|error| match error {
            ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
                ArchiveError::Method { entry: name }
            }
            error => failed(error, &meter),
        })?;
        take(&mut file, &meter, unpacking)?;
    }
    let (entries, directory) = (zip.len(), zip.central_directory_start());
    refuse_repeated(zip.into_inner(), directory, entries, &meter)
}

/// Refuses an archive with several entries of one name: the reader knows only the last of them.
fn refuse_repeated(
    mut archive: impl Read + Seek,
    directory: u64,
    known: usize,
    meter: &Meter,
) -> Result<(), ArchiveError> {
    let failed = |error| meter.explain(error);
    archive.seek(SeekFrom::Start(directory)).map_err(failed)?;
    let mut archive = io::BufReader::new(archive);
    let mut names = HashSet::with_capacity(known);
    while let Some(name) = next_name(&mut archive).map_err(failed)? {
        if let Some(name) = names.replace(name) {
            return Err(ArchiveError::Duplicate { entry: shown(&name) });
        }
    }
    Ok(())
}

/// Reads a record of the central directory and returns the name in it; `None` behind the last.
fn next_name(archive: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; RECORD_BYTES];
    archive.read_exact(&mut head[..4])?;
    if head[..4] != RECORD {
        return Ok(None);
    }
    archive.read_exact(&mut head[4..])?;
    let length = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let mut name = vec![0; length(28).into()];
    archive.read_exact(&mut name)?;
    let rest = u64::from(length(30)) + u64::from(length(32));
    io::copy(&mut archive.take(rest), &mut io::sink())?;
    Ok(Some(name))
}

fn take(file: &mut ZipFile<impl Read>, meter: &Meter, unpacking: &mut Unpacking) -> Result<(), ArchiveError> {
    let name = name(file);
    let unsupported = |what| Err(ArchiveError::Unsupported { entry: shown(name.as_bytes()), what });
    if name.contains('\\') {
        // Some programs of Windows write it between directories, so it may mean either.
        return Err(ArchiveError::Name { entry: shown(name.as_bytes()), what: "contains a backslash" });
    }
    let path = entry_path(name.as_bytes())?;
    let mode = file.unix_mode().unwrap_or(0);
    match mode & TYPE {
        _ if name.ends_with('/') => unpacking.builder.directory(&path),
        0o040_000 => unpacking.builder.directory(&path),
        0o120_000 => symlink(file, &path, meter, unpacking),
        0 | 0o100_000 => regular(file, &path, mode, meter, unpacking),
        0o010_000 => unsupported("a fifo"),
        0o020_000 => unsupported("a character device"),
        0o060_000 => unsupported("a block device"),
        0o140_000 => unsupported("a socket"),
        _ => unsupported("of an unknown type"),
    }
}

/// Returns the name of an entry. Programs of Unix write UTF-8 without saying so.
fn name(file: &ZipFile<impl Read>) -> String {
    std::str::from_utf8(file.name_raw()).map_or_else(|_| file.name().to_owned(), str::to_owned)
}

fn regular(
    file: &mut ZipFile<impl Read>,
    path: &RelativePath,
    mode: u32,
    meter: &Meter,
    unpacking: &mut Unpacking,
) -> Result<(), ArchiveError> {
    let place = unpacking.builder.reserve(path)?;
    let size = file.size();
    unpacking.check_size(path, size)?;
    let content = Unpacked { inner: file, meter };
    let id = unpacking.pack.blob_from(content, size).map_err(|error| explain(error, path, meter))?;
    let kind = if mode & 0o100 != 0 { GitEntryKind::Executable } else { GitEntryKind::File };
    unpacking.builder.put(place, Leaf { kind, id })
}

fn symlink(
    file: &mut ZipFile<impl Read>,
    path: &RelativePath,
    meter: &Meter,
    unpacking: &mut Unpacking,
) -> Result<(), ArchiveError> {
    let place = unpacking.builder.reserve(path)?;
    let mut target = Vec::new();
    let longest = MAX_PATH as u64 + 1;
    let content = Unpacked { inner: file, meter };
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
