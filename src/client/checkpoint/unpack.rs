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

use super::CheckpointError;
use super::pieces::ImageFile;
use crate::client::ClientError;
use crate::client::cores::on_all_cores;
use crate::digest::Digest;
use crate::spec::shown;
use crate::store::{FileBlobStore, StoreError, VerifiedRead, settle};

/// Most bytes that a memory comes to.
pub(super) const MAX_MEMORY: u64 = 256 << 30;
/// Longest header of a frame.
const MAX_HEADER: usize = 18;
/// Bytes written at a time.
const BUFFER: usize = 256 << 10;

/// Where the pieces are.
pub(super) struct Packed {
    /// The blobs of checkpoints, which only root can read.
    pub(super) own: FileBlobStore,
    /// All blobs of this host; those of a private daemon are there too.
    pub(super) blobs: FileBlobStore,
}

/// A piece, and where it belongs.
struct Piece<'a> {
    file: &'a str,
    digest: Digest,
    at: u64,
    length: u64,
}

impl Packed {
    /// Says whether a piece is here, and right.
    pub(super) fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.own.open_verified(digest)?.is_some() || self.blobs.open_verified(digest)?.is_some())
    }

    fn open(&self, digest: &Digest) -> Result<VerifiedRead, StoreError> {
        let own = self.own.open_read(digest)?;
        let found = own.map_or_else(|| self.blobs.open_read(digest), |own| Ok(Some(own)))?;
        found.ok_or(StoreError::Missing { digest: *digest, role: "piece of a memory" })
    }

    /// Makes a directory with files that are `limit` bytes long at most, and returns how long each is.
    ///
    /// # Errors
    /// `Checkpoint` when a piece is not as it should be; else what stood in the way.
    pub(super) fn unpack(
        &self,
        root: Digest,
        files: &[ImageFile],
        directory: &Path,
        limit: u64,
    ) -> Result<BTreeMap<String, u64>, ClientError> {
        let unusable = CheckpointError::of(root);
        let lengths = self.lengths(files, limit, &unusable)?;
        let (pieces, totals) = laid_out(files, &lengths, limit).map_err(&unusable)?;
        fs::create_dir_all(directory).map_err(ClientError::io("make the directory", directory))?;
        open_to_all(directory, 0o755)?;
        for (name, total) in &totals {
            let path = directory.join(name);
            let made = File::create_new(&path).and_then(|file| file.set_len(*total));
            made.map_err(ClientError::io("make", &path))?;
        }
        each(&pieces, |piece| {
            let path = directory.join(piece.file);
            self.write(piece, &path, &unusable)
        })?;
        let names: Vec<&String> = totals.keys().collect();
        each(&names, |name| {
            let path = directory.join(name);
            open_to_all(&path, 0o644)?;
            let settled = File::open(&path).and_then(|file| settle(&file).and_then(|()| file.sync_all()));
            settled.map_err(ClientError::io("write", &path))
        })?;
        Ok(totals)
    }

    /// Returns how long each piece is.
    fn lengths(
        &self,
        files: &[ImageFile],
        limit: u64,
        unusable: &(impl Fn(CheckpointError) -> ClientError + Sync),
    ) -> Result<HashMap<Digest, u64>, ClientError> {
        let pieces = files.iter().flat_map(|file| file.pieces.iter().map(|digest| (*digest, file.name.as_str())));
        let pieces: Vec<(Digest, &str)> = pieces.collect::<HashMap<_, _>>().into_iter().collect();
        let lengths = Mutex::new(HashMap::with_capacity(pieces.len()));
        each(&pieces, |(digest, name)| {
            let length = length(self.open(digest)?, limit).map_err(|source| unusable(unpacking(name, source)))?;
            lengths.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest, length);
            Ok(())
        })?;
        Ok(lengths.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(
        &self,
        piece: &Piece,
        path: &Path,
        unusable: &impl Fn(CheckpointError) -> ClientError,
    ) -> Result<(), ClientError> {
        let packed = self.open(&piece.digest)?;
        let mut file = File::options().write(true).open(path).map_err(ClientError::io("open", path))?;
        file.seek(SeekFrom::Start(piece.at)).map_err(ClientError::io("write", path))?;
        let mut writer = BufWriter::with_capacity(BUFFER, file);
        let failed = |source| unusable(unpacking(piece.file, source));
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
            writer.write_all(&buffer[..count]).map_err(ClientError::io("write", path))?;
        }
        if length != piece.length {
            return Err(unusable(CheckpointError::memory(piece.file)("a piece is not as long as it says")));
        }
        writer.flush().map_err(ClientError::io("write", path))
    }
}

fn unpacking(name: &str, source: io::Error) -> CheckpointError {
    CheckpointError::Unpack { path: shown(name), source }
}

/// Returns how long what is packed is: what it states, or what comes out of it, as far as the limit.
fn length(mut packed: VerifiedRead, limit: u64) -> io::Result<u64> {
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
) -> Result<(Vec<Piece<'a>>, BTreeMap<String, u64>), CheckpointError> {
    let (mut pieces, mut totals, mut all) = (Vec::new(), BTreeMap::new(), 0_u64);
    for file in files {
        let mut at = 0_u64;
        for digest in &file.pieces {
            let length = lengths[digest];
            all = all.saturating_add(length);
            if all > limit {
                return Err(CheckpointError::TooLarge { limit });
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
pub(super) fn each<T: Sync>(all: &[T], work: impl Fn(&T) -> Result<(), ClientError> + Sync) -> Result<(), ClientError> {
    let next = AtomicUsize::new(0);
    on_all_cores(|| {
        while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(one)?;
        }
        Ok(())
    })
}

/// Sets the mode, whatever the mask of this process.
fn open_to_all(path: &Path, mode: u32) -> Result<(), ClientError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(ClientError::io("set the mode of", path))
}
