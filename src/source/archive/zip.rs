//! Zip archives, read by their central directory.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::meter::Meter;
use super::name::shown;
use super::stated::{Stated, take};
use super::{ArchiveError, Unpacking};

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
        let name = self::name(&file);
        let (mode, size) = (file.unix_mode().unwrap_or(0), file.size());
        let entry = Stated { name: &name, directory: false, mode, size, content: &mut file };
        take(entry, &meter, unpacking)?;
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

/// Returns the name of an entry. Programs of Unix write UTF-8 without saying so.
fn name(file: &ZipFile<impl Read>) -> String {
    std::str::from_utf8(file.name_raw()).map_or_else(|_| file.name().to_owned(), str::to_owned)
}
