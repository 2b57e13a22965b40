//! Tar archives: old, ustar, GNU and PAX, read from beginning to end, once.

use std::io::{self, Read};

use tar::{Entry, EntryType};

use super::builder::{Builder, Leaf};
use super::compression::decompress;
use super::meter::{Meter, Packed, Unpacked};
use super::name::{check_target, entry_path, shown};
use super::{ArchiveError, Unpacking, builder};
use crate::spec::RelativePath;
use crate::store::GitEntryKind;

const BLOCK: usize = 512;

/// Reads all entries of an archive.
pub(super) fn read(archive: impl Read, unpacking: &mut Unpacking) -> Result<(), ArchiveError> {
    let limits = unpacking.limits;
    let meter = Meter::new(limits);
    let unpacked = decompress(Packed { inner: archive, meter: &meter }).map_err(|error| meter.explain(error))?;
    let mut archive = tar::Archive::new(Unpacked { inner: unpacked, meter: &meter });
    let mut entries = archive.entries().map_err(|error| meter.explain(error))?;
    loop {
        // The headers of an entry are held in memory while it is looked for.
        meter.in_header(true);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|error| meter.explain(error))?;
        meter.in_header(false);
        meter.at(shown(&entry.path_bytes()));
        take(&mut entry, &meter, unpacking)?;
        io::copy(&mut entry, &mut io::sink()).map_err(|error| meter.explain(error))?;
    }
    meter.in_header(false);
    end(archive.into_inner(), &meter)
}

/// Checks that the archive ends with two blocks of zeros, of which one was read, and reads what pads it.
fn end(mut archive: impl Read, meter: &Meter) -> Result<(), ArchiveError> {
    let mut block = [0; BLOCK];
    // The reader of entries ends in silence both at a block of zeros and where there is nothing more.
    if meter.has_ended() {
        return Err(ArchiveError::Truncated { place: meter.place() });
    }
    archive.read_exact(&mut block).map_err(|error| meter.explain(error))?;
    if block != [0; BLOCK] {
        return Err(ArchiveError::Truncated { place: meter.place() });
    }
    // Decoders check their sums at the end of what they read.
    io::copy(&mut archive, &mut io::sink()).map(|_| ()).map_err(|error| meter.explain(error))
}

fn take(entry: &mut Entry<impl Read>, meter: &Meter, unpacking: &mut Unpacking) -> Result<(), ArchiveError> {
    let raw = entry.path_bytes().into_owned();
    let unsupported = |what| Err(ArchiveError::Unsupported { entry: shown(&raw), what });
    let kind = entry.header().entry_type();
    match kind {
        // Of the archive as a whole, which has neither an identity nor times here.
        EntryType::XGlobalHeader => return Ok(()),
        EntryType::Fifo => return unsupported("a fifo"),
        EntryType::Char => return unsupported("a character device"),
        EntryType::Block => return unsupported("a block device"),
        _ => {}
    }
    let path = entry_path(&raw)?;
    match kind {
        EntryType::Directory => unpacking.builder.directory(&path),
        // So were directories written before there was a type for them.
        EntryType::Regular if raw.ends_with(b"/") => unpacking.builder.directory(&path),
        EntryType::Regular | EntryType::Continuous if is_pax_sparse(entry, meter)? => {
            unsupported("a sparse file in the form of PAX")
        }
        EntryType::Regular | EntryType::Continuous => file(entry, &path, meter, unpacking),
        EntryType::GNUSparse => {
            // Its holes do not pass through the decoder.
            meter.unpacked(entry.size())?;
            file(entry, &path, meter, unpacking)
        }
        EntryType::Symlink => {
            let target = entry.link_name_bytes().unwrap_or_default();
            symlink(&path, &target, unpacking)
        }
        EntryType::Link => {
            let target = entry.link_name_bytes().unwrap_or_default();
            hard_link(&path, &target, &mut unpacking.builder)
        }
        _ => unsupported("of an unknown type"),
    }
}

fn is_pax_sparse(entry: &mut Entry<impl Read>, meter: &Meter) -> Result<bool, ArchiveError> {
    let extensions = entry.pax_extensions().map_err(|error| meter.explain(error))?;
    Ok(extensions.into_iter().flatten().flatten().any(|pax| pax.key_bytes().starts_with(b"GNU.sparse.")))
}

fn file(
    entry: &mut Entry<impl Read>,
    path: &RelativePath,
    meter: &Meter,
    unpacking: &mut Unpacking,
) -> Result<(), ArchiveError> {
    let place = unpacking.builder.reserve(path)?;
    let size = entry.size();
    unpacking.check_size(path, size)?;
    let mode = entry.header().mode().map_err(|error| meter.explain(error))?;
    let id = unpacking.pack.blob_from(entry, size).map_err(|error| match error {
        crate::store::PackError::Read(error) => meter.explain(error),
        crate::store::PackError::Size { .. } if meter.has_ended() => ArchiveError::Truncated { place: meter.place() },
        error => builder::written(error, path.as_str()),
    })?;
    let kind = if mode & 0o100 != 0 { GitEntryKind::Executable } else { GitEntryKind::File };
    unpacking.builder.put(place, Leaf { kind, id })
}

fn symlink(path: &RelativePath, target: &[u8], unpacking: &mut Unpacking) -> Result<(), ArchiveError> {
    let place = unpacking.builder.reserve(path)?;
    check_target(path, target)?;
    let id = unpacking.pack.blob(target).map_err(|error| builder::written(error, path.as_str()))?;
    unpacking.builder.put(place, Leaf { kind: GitEntryKind::Symlink, id })
}

fn hard_link(path: &RelativePath, target: &[u8], builder: &mut Builder) -> Result<(), ArchiveError> {
    let place = builder.reserve(path)?;
    let leaf = entry_path(target).ok().and_then(|target| builder.leaf(&target));
    let entry = || shown(path.as_str().as_bytes());
    let leaf = leaf.ok_or_else(|| ArchiveError::HardLink { entry: entry(), target: shown(target) })?;
    builder.put(place, leaf)
}
