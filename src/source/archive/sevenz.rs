//! 7z archives: a list of the entries, and blocks of their contents one after the other.
//!
//! Before a block is unpacked it is known which methods that takes and how
//! much memory, so a small file can make neither grow beyond all measure.

mod buffered;
mod counts;
mod list;
mod packing;

use std::io::{self, Read, Seek, SeekFrom};

use sevenz_rust2::{Archive, ArchiveEntry, BlockDecoder, Password};

use buffered::Buffered;

use super::error::Place;
use super::meter::{Meter, Unpacked};
use super::name::shown;
use super::stated::{Stated, take};
use super::{ArchiveError, Unpacking};

/// The first bytes of an archive.
const MAGIC: &[u8] = b"7z\xbc\xaf\x27\x1c";
/// Says in the attributes of an entry that their upper half is its Unix mode.
const UNIX: u32 = 0x8000;
/// What Windows calls a directory, and a link or another thing that it resolves by itself.
const DIRECTORY: u32 = 0x10;
const REPARSE_POINT: u32 = 0x400;

/// Says whether a file is such an archive, and goes back to its beginning.
pub(super) fn recognise(archive: &mut (impl Read + Seek)) -> Result<bool, ArchiveError> {
    let failed = |source| ArchiveError::Read { place: Place(None), source };
    let mut start = Vec::new();
    archive.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start).map_err(failed)?;
    archive.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(start == MAGIC)
}

/// Reads all entries of an archive.
pub(super) fn read(archive: impl Read + Seek, unpacking: &mut Unpacking) -> Result<(), ArchiveError> {
    let limits = unpacking.limits;
    let meter = Meter::new(limits);
    let mut archive = Buffered::new(archive);
    let size = archive.seek(SeekFrom::End(0)).map_err(|error| meter.explain(error))?;
    meter.packed(size);
    let list = list::read(&mut archive, size, limits, &meter)?;
    for block in 0..list.blocks.len() {
        read_block(&list, block, &mut archive, &meter, unpacking)?;
    }
    let blocks = &list.stream_map.file_block_index;
    for (entry, _) in list.files.iter().zip(blocks).filter(|(_, block)| block.is_none()) {
        take_entry(entry, &mut io::empty(), &meter, unpacking)?;
    }
    Ok(())
}

fn read_block(
    list: &Archive,
    block: usize,
    archive: &mut (impl Read + Seek),
    meter: &Meter,
    unpacking: &mut Unpacking,
) -> Result<(), ArchiveError> {
    let password = Password::empty();
    let decoder = BlockDecoder::new(1, block, list, &password, archive);
    let Some(first) = decoder.entries().first() else { return Ok(()) };
    let first = shown(first.name.as_bytes());
    meter.at(first.clone());
    packing::check(&list.blocks[block], &first, unpacking.limits, meter)?;
    let mut refused = None;
    let read = decoder.for_each_entries(&mut |entry, content| {
        refused = take_entry(entry, content, meter, unpacking).err();
        Ok(refused.is_none())
    });
    refused.map_or(Ok(()), Err)?;
    read.map(|_| ()).map_err(|error| explain(error, meter))
}

/// Takes an entry into the tree and reads its content to the end.
fn take_entry(
    entry: &ArchiveEntry,
    content: &mut dyn Read,
    meter: &Meter,
    unpacking: &mut Unpacking,
) -> Result<(), ArchiveError> {
    let (name, attributes) = (&entry.name, entry.windows_attributes);
    let unsupported = |what| Err(ArchiveError::Unsupported { entry: shown(name.as_bytes()), what });
    meter.at(shown(name.as_bytes()));
    if entry.is_anti_item {
        return unsupported("a note that a file is gone");
    }
    let mode = if attributes & UNIX != 0 { attributes >> 16 } else { 0 };
    if mode == 0 && attributes & REPARSE_POINT != 0 {
        return unsupported("a reparse point of Windows");
    }
    let directory = entry.is_directory || attributes & DIRECTORY != 0;
    take(Stated { name, directory, mode, size: entry.size, content: &mut *content }, meter, unpacking)?;
    // What the next entry of the block needs is unpacked in any case, so it counts.
    let rest = io::copy(&mut Unpacked { inner: content, meter }, &mut io::sink());
    rest.map(|_| ()).map_err(|error| meter.explain(error))
}

fn explain(error: sevenz_rust2::Error, meter: &Meter) -> ArchiveError {
    match error {
        sevenz_rust2::Error::Io(error, _) => meter.explain(error),
        source => ArchiveError::SevenZ { place: meter.place(), source },
    }
}
