//! Unpacking what CRIU wrote: all pieces at once, each to its place in its file.
//!
//! A piece has to come to the length that it states, so all files are known to be within bounds before any is written.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use zstd::stream::read::Decoder;
use zstd::zstd_safe::get_frame_content_size;

use super::MemoryError;
use super::pieces::ImageFile;
use crate::digest::Digest;
use crate::host::on_all_cores;
use crate::store::{StoreError, settle};

/// Most bytes that a memory comes to.
pub(crate) const MAX_MEMORY: u64 = 256 << 30;
/// Longest header of a frame.
const MAX_HEADER: usize = 18;
/// Bytes written at a time.
const BUFFER: usize = 256 << 10;

/// A piece, and where it belongs.
struct Piece<'a> {
    file: &'a str,
    digest: Digest,
    at: u64,
    length: u64,
}

/// Makes a directory with files that are `limit` bytes long at most, of the pieces that `open` gives, each read once for
/// its length and once more. Returns how long each file is. Blocks.
///
/// # Errors
/// When a piece is not as it should be or not there, or the file system refuses.
pub(crate) fn unpack<R: Read>(
    files: &[ImageFile],
    open: impl Fn(&Digest) -> Result<R, StoreError> + Sync,
    directory: &Path,
    limit: u64,
) -> Result<BTreeMap<String, u64>, MemoryError> {
    let lengths = lengths(files, &open, limit)?;
    let (pieces, totals) = laid_out(files, &lengths, limit)?;
    fs::create_dir_all(directory).map_err(StoreError::io("make the directory", directory))?;
    open_to_all(directory, 0o755)?;
    for (name, total) in &totals {
        let path = directory.join(name);
        let made = File::create_new(&path).and_then(|file| file.set_len(*total));
        made.map_err(StoreError::io("make", &path))?;
    }
    let unpack = |piece: &Piece| write(piece, open(&piece.digest)?, &directory.join(piece.file));
    each(&pieces, unpack)?;
    let names: Vec<&String> = totals.keys().collect();
    each(&names, |name| {
        let path = directory.join(name);
        open_to_all(&path, 0o644)?;
        let settled = File::open(&path).and_then(|file| settle(&file));
        settled.map_err(StoreError::io("write", &path))
    })?;
    Ok(totals)
}

/// Returns how long each piece is.
fn lengths<R: Read>(
    files: &[ImageFile],
    open: &(impl Fn(&Digest) -> Result<R, StoreError> + Sync),
    limit: u64,
) -> Result<HashMap<Digest, u64>, MemoryError> {
    let pieces = files.iter().flat_map(|file| file.pieces.iter().map(|digest| (*digest, file.name.as_str())));
    let pieces: Vec<(Digest, &str)> = pieces.collect::<HashMap<_, _>>().into_iter().collect();
    let lengths = Mutex::new(HashMap::with_capacity(pieces.len()));
    each(&pieces, |(digest, name)| {
        let length = length(open(digest)?, limit).map_err(|source| MemoryError::unpacking(name, source))?;
        lengths.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest, length);
        Ok::<_, MemoryError>(())
    })?;
    Ok(lengths.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn write(piece: &Piece, packed: impl Read, path: &Path) -> Result<(), MemoryError> {
    let mut file = File::options().write(true).open(path).map_err(StoreError::io("open", path))?;
    file.seek(SeekFrom::Start(piece.at)).map_err(StoreError::io("write", path))?;
    let mut writer = BufWriter::with_capacity(BUFFER, file);
    let failed = |source| MemoryError::unpacking(piece.file, source);
    // What is longer must not run on to the end.
    let mut unpacked = Decoder::new(packed).map_err(failed)?.take(piece.length.saturating_add(1));
    let mut buffer = vec![0; BUFFER];
    let mut length = 0;
    loop {
        let count = unpacked.read(&mut buffer).map_err(failed)?;
        length += count as u64;
        if count == 0 || length > piece.length {
            break;
        }
        writer.write_all(&buffer[..count]).map_err(StoreError::io("write", path))?;
    }
    if length != piece.length {
        return Err(MemoryError::piece(piece.file)("a piece is not as long as it says"));
    }
    Ok(writer.flush().map_err(StoreError::io("write", path))?)
}

/// Returns how long what is packed is: what it states, or what comes out of it, as far as the limit.
fn length(mut packed: impl Read, limit: u64) -> io::Result<u64> {
    let mut header = Vec::with_capacity(MAX_HEADER);
    (&mut packed).take(MAX_HEADER as u64).read_to_end(&mut header)?;
    match get_frame_content_size(&header) {
        Ok(Some(length)) => Ok(length),
        Ok(None) => {
            let unpacked = Decoder::new(header.chain(packed))?;
            io::copy(&mut unpacked.take(limit.saturating_add(1)), &mut io::sink())
        }
        Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not packed by Zstandard")),
    }
}

/// Returns where each piece belongs, the long ones first, and how long the files are.
fn laid_out<'a>(
    files: &'a [ImageFile],
    lengths: &HashMap<Digest, u64>,
    limit: u64,
) -> Result<(Vec<Piece<'a>>, BTreeMap<String, u64>), MemoryError> {
    let (mut pieces, mut totals, mut all) = (Vec::new(), BTreeMap::new(), 0_u64);
    for file in files {
        let mut at = 0_u64;
        for digest in &file.pieces {
            let length = lengths[digest];
            all = all.saturating_add(length);
            if all > limit {
                return Err(MemoryError::TooLarge { limit });
            }
            pieces.push(Piece { file: &file.name, digest: *digest, at, length });
            at += length;
        }
        totals.insert(file.name.clone(), at);
    }
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.length));
    Ok((pieces, totals))
}

/// Does something with each, on all cores.
pub(crate) fn each<T: Sync, E: Send>(all: &[T], work: impl Fn(&T) -> Result<(), E> + Sync) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    on_all_cores(|| {
        while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(one)?;
        }
        Ok(())
    })
}

/// Sets the mode, whatever the mask of this process.
fn open_to_all(path: &Path, mode: u32) -> Result<(), StoreError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(StoreError::io("set the mode of", path))
}
