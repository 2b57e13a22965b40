//! The list of entries, which lies at the end of an archive and is mostly packed like a block of it.
//!
//! The reader of the format would unpack a list of any size by any method, so
//! it is only given lists that are unpacked already.

use std::io::{Cursor, Read, Seek, SeekFrom};

use sevenz_rust2::{Archive, BlockDecoder, Password};

use super::super::meter::Meter;
use super::super::{ArchiveError, Limits};
use super::counts::{self, Wrong};
use super::{MAGIC, explain, packing};

/// Bytes before the first block: the magic, the version, and where the list lies.
const START: usize = 32;
/// Most bytes of a list: those of half a million entries with paths of 50 letters.
const MAX_LIST: u64 = 64 << 20;
/// The first byte of a list, and of the description of a packed one.
const LIST: u8 = 1;
const PACKED_LIST: u8 = 0x17;
/// Begins the description of blocks in a list.
const STREAMS: u8 = 4;
/// Ends a list of one file without a name, which is what its block holds.
const ONE_FILE: [u8; 7] = [8, 0, 0, 5, 1, 0, 0];

/// Reads the list of an archive of `size` bytes.
pub(super) fn read(
    archive: &mut (impl Read + Seek),
    size: u64,
    limits: &Limits,
    meter: &Meter,
) -> Result<Archive, ArchiveError> {
    let list = stored(archive, size, meter)?;
    match list.first() {
        None => Ok(Archive::default()),
        Some(&PACKED_LIST) => parse(&unpack(&list[1..], archive, limits, meter)?, limits, meter),
        Some(_) => parse(&list, limits, meter),
    }
}

/// Returns the list as it is stored; an archive without entries has none.
fn stored(archive: &mut (impl Read + Seek), size: u64, meter: &Meter) -> Result<Vec<u8>, ArchiveError> {
    let mut start = [0; START];
    archive.seek(SeekFrom::Start(0)).map_err(|error| meter.explain(error))?;
    archive.read_exact(&mut start).map_err(|error| meter.explain(error))?;
    let number = |at: usize| start[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (offset, bytes) = (number(12), number(20));
    let [major, minor] = [start[MAGIC.len()], start[MAGIC.len() + 1]];
    if major != 0 {
        let source = sevenz_rust2::Error::UnsupportedVersion { major, minor };
        return Err(ArchiveError::SevenZ { place: meter.place(), source });
    }
    check_sum(&start[12..], &start[8..12], meter)?;
    if bytes > MAX_LIST {
        return Err(too_long(meter));
    }
    let place = offset.checked_add(START as u64).filter(|place| place.saturating_add(bytes) <= size);
    let place = place.ok_or_else(|| ArchiveError::Truncated { place: meter.place() })?;
    archive.seek(SeekFrom::Start(place)).map_err(|error| meter.explain(error))?;
    let mut list = Vec::new();
    archive.take(bytes).read_to_end(&mut list).map_err(|error| meter.explain(error))?;
    check_sum(&list, &start[28..], meter)?;
    Ok(list)
}

/// Unpacks a list of which the description is given.
fn unpack(
    description: &[u8],
    archive: &mut (impl Read + Seek),
    limits: &Limits,
    meter: &Meter,
) -> Result<Vec<u8>, ArchiveError> {
    // It is the description of blocks that a list has, so it makes one of a single file.
    let streams = description.strip_suffix(&[0]).ok_or_else(|| damaged(meter))?;
    let outer = parse(&[&[LIST, STREAMS], streams, &ONE_FILE].concat(), limits, meter)?;
    let [block] = &outer.blocks[..] else { return Err(damaged(meter)) };
    packing::check(block, "", limits, meter).map_err(|error| match error {
        ArchiveError::Method { .. } => ArchiveError::ListMethod,
        error => error,
    })?;
    if block.get_unpack_size() > MAX_LIST {
        return Err(too_long(meter));
    }
    let mut list = Vec::new();
    let password = Password::empty();
    let decoder = BlockDecoder::new(1, 0, &outer, &password, archive);
    let read = decoder.for_each_entries(&mut |_, content| Ok(content.read_to_end(&mut list).map(|_| true)?));
    read.map_err(|error| explain(error, meter))?;
    if list.len() as u64 != block.get_unpack_size() {
        return Err(damaged(meter));
    }
    Ok(list)
}

/// Reads a list that is not packed, by itself in an archive without blocks.
fn parse(list: &[u8], limits: &Limits, meter: &Meter) -> Result<Archive, ArchiveError> {
    counts::check(list, limits.max_entries).map_err(|wrong| match wrong {
        Wrong::Damaged => damaged(meter),
        Wrong::Many => ArchiveError::Entries { limit: limits.max_entries },
    })?;
    let place = [&[0; 8], &(list.len() as u64).to_le_bytes()[..], &sum(list)].concat();
    let archive = [MAGIC, &[0, 4], &sum(&place), &place, list].concat();
    Archive::read(&mut Cursor::new(archive), &Password::empty()).map_err(|error| explain(error, meter))
}

/// Returns the checksum of bytes as it is stored.
fn sum(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

fn check_sum(bytes: &[u8], expected: &[u8], meter: &Meter) -> Result<(), ArchiveError> {
    if sum(bytes) == expected { Ok(()) } else { Err(damaged(meter)) }
}

fn damaged(meter: &Meter) -> ArchiveError {
    let source = sevenz_rust2::Error::NextHeaderCrcMismatch;
    ArchiveError::SevenZ { place: meter.place(), source }
}

fn too_long(meter: &Meter) -> ArchiveError {
    ArchiveError::Header { place: meter.place(), limit: MAX_LIST }
}
