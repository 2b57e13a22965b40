//! Many Git objects at once: one pack, put in place when all of it is there.
//!
//! A loose object costs a file, a rename and a lock each; a pack costs two
//! files for all. What was written is seen by nobody before `finish`, so a
//! source that turns out to be bad leaves nothing behind. Calls block.

use std::collections::HashMap;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use sha1_checked::{Digest as _, Sha1};
use tempfile::NamedTempFile;

use super::git::encode_tree;
use super::{GitEntry, GitStore, StoreError};
use crate::spec::GitId;

mod index;
#[cfg(test)]
mod tests;

use index::Packed;

/// Blobs up to this size are held in memory, so that one that is there already is not compressed again.
const HELD_BYTES: u64 = 4 << 20;
/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 128 << 10;
/// Bytes before the first object: `PACK`, the version, the number of objects.
const HEADER_BYTES: u64 = 12;

/// Why a blob could not be written from a reader.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The source could not be read.
    #[error("cannot read the content of a blob")]
    Read(#[source] io::Error),
    /// The source has another size than was said.
    #[error("the content of a blob is not of {expected} bytes, as was said")]
    Size {
        /// The size that was said.
        expected: u64,
    },
    /// The content was made to have the id of other content.
    #[error("content whose Git id would be `{id}` was made to collide with other content")]
    Collision {
        /// The id of both.
        id: GitId,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a Git object is, as a pack numbers it.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Tree = 2,
    Blob = 3,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Blob => "blob",
        }
    }
}

/// A pack being written beside those of the Git cache. Dropping it leaves nothing.
pub struct PackWriter {
    git: GitStore,
    folder: PathBuf,
    file: BufWriter<NamedTempFile>,
    /// Where the next byte goes.
    offset: u64,
    /// Of the object being written.
    crc: Crc,
    objects: HashMap<GitId, Packed>,
    compress: Compress,
    compressed: Vec<u8>,
}

impl GitStore {
    /// Begins a pack of new objects.
    ///
    /// # Errors
    /// When no file can be made in the cache.
    pub fn pack(&self) -> Result<PackWriter, StoreError> {
        let folder = self.path().join("objects/pack");
        std::fs::create_dir_all(&folder).map_err(StoreError::io("make the directory", &folder))?;
        // `git gc` removes what a crash leaves under such a name.
        let file = tempfile::Builder::new().prefix("tmp_pack_").tempfile_in(&folder);
        let file = file.map_err(StoreError::io("make a file in", &folder))?;
        let mut pack = PackWriter {
            git: self.clone(),
            folder,
            file: BufWriter::with_capacity(CHUNK_BYTES, file),
            offset: 0,
            crc: Crc::new(),
            objects: HashMap::new(),
            // As `git add` does by default.
            compress: Compress::new(Compression::fast(), true),
            compressed: vec![0; CHUNK_BYTES],
        };
        pack.append(b"PACK\0\0\0\x02\0\0\0\0")?;
        Ok(pack)
    }
}

impl PackWriter {
    /// Writes a blob and returns its id.
    ///
    /// # Errors
    /// `Collision`, and when it cannot be written.
    pub fn blob(&mut self, bytes: &[u8]) -> Result<GitId, PackError> {
        self.object(Kind::Blob, bytes)
    }

    /// Writes a tree and returns its id.
    ///
    /// # Errors
    /// As `blob`.
    pub fn tree(&mut self, entries: Vec<GitEntry>) -> Result<GitId, PackError> {
        self.object(Kind::Tree, &encode_tree(entries))
    }

    /// Writes a blob of `size` bytes from a reader, which is read to its end, and returns its id.
    /// A large one is never in memory as a whole.
    ///
    /// # Errors
    /// `Size` when the reader has fewer or more bytes; the pack cannot be finished sensibly after an error.
    pub fn blob_from(&mut self, mut source: impl Read, size: u64) -> Result<GitId, PackError> {
        if size > HELD_BYTES {
            return self.stream(source, size);
        }
        let mut bytes = Vec::new();
        source.by_ref().take(size + 1).read_to_end(&mut bytes).map_err(PackError::Read)?;
        if bytes.len() as u64 != size {
            return Err(PackError::Size { expected: size });
        }
        self.blob(&bytes)
    }

    fn object(&mut self, kind: Kind, bytes: &[u8]) -> Result<GitId, PackError> {
        let mut hasher = object_hasher(kind, bytes.len() as u64);
        hasher.update(bytes);
        let id = finish_id(hasher)?;
        if self.is_there(id)? {
            return Ok(id);
        }
        let offset = self.begin(kind, bytes.len() as u64)?;
        self.deflate(bytes, FlushCompress::Finish)?;
        self.end(id, offset);
        Ok(id)
    }

    fn stream(&mut self, source: impl Read, size: u64) -> Result<GitId, PackError> {
        let mut hasher = object_hasher(Kind::Blob, size);
        let offset = self.begin(Kind::Blob, size)?;
        each_chunk(source, size, |chunk| {
            hasher.update(chunk);
            Ok(self.deflate(chunk, FlushCompress::None)?)
        })?;
        self.deflate(&[], FlushCompress::Finish)?;
        let id = finish_id(hasher)?;
        if self.is_there(id)? {
            self.rewind(offset)?;
        } else {
            self.end(id, offset);
        }
        Ok(id)
    }

    fn is_there(&self, id: GitId) -> Result<bool, StoreError> {
        Ok(self.objects.contains_key(&id) || self.git.is_cached(id)?)
    }

    /// Writes the head of an object and returns where it begins.
    fn begin(&mut self, kind: Kind, size: u64) -> Result<u64, StoreError> {
        let offset = self.offset;
        self.crc.reset();
        self.compress.reset();
        self.append(&object_head(kind, size))?;
        Ok(offset)
    }

    fn end(&mut self, id: GitId, offset: u64) {
        self.objects.insert(id, Packed { offset, crc: self.crc.sum() });
    }

    fn deflate(&mut self, mut bytes: &[u8], flush: FlushCompress) -> Result<(), StoreError> {
        loop {
            let (read, made) = (self.compress.total_in(), self.compress.total_out());
            let status = self.compress.compress(bytes, &mut self.compressed, flush);
            let status = status.map_err(|error| self.failed(error.into()))?;
            let count = |after: u64, before| usize::try_from(after - before).expect("it fits into a buffer");
            bytes = &bytes[count(self.compress.total_in(), read)..];
            let made = count(self.compress.total_out(), made);
            let compressed = std::mem::take(&mut self.compressed);
            let appended = self.append(&compressed[..made]);
            let full = made == compressed.len();
            self.compressed = compressed;
            appended?;
            match flush {
                FlushCompress::Finish if status == Status::StreamEnd => return Ok(()),
                FlushCompress::Finish => {}
                _ if bytes.is_empty() && !full => return Ok(()),
                _ => {}
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(|error| self.failed(error))?;
        self.crc.update(bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what was written from `offset` on.
    fn rewind(&mut self, offset: u64) -> Result<(), StoreError> {
        let rewound =
            self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.get_ref().as_file().set_len(offset));
        rewound.map_err(|error| self.failed(error))?;
        self.offset = offset;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::io("write", self.file.get_ref().path())(source)
    }

    /// Puts the pack in place; its objects are there from now on, also after a crash of the host.
    ///
    /// # Errors
    /// When it cannot be written; nothing is then there.
    pub fn finish(mut self) -> Result<(), StoreError> {
        if self.objects.is_empty() {
            return Ok(());
        }
        let checksum = self.seal().map_err(|error| self.failed(error))?;
        let name = const_hex::encode(checksum);
        let place = |suffix| self.folder.join(format!("pack-{name}.{suffix}"));
        let (pack, index) = (place("pack"), place("idx"));
        let objects = std::mem::take(&mut self.objects).into_iter().collect();
        let mut file = tempfile::Builder::new().prefix("tmp_idx_").tempfile_in(&self.folder);
        let written = file.as_mut().map_err(|error| io::Error::new(error.kind(), error.to_string())).and_then(|file| {
            file.write_all(&index::encode(objects, checksum))?;
            file.as_file().sync_data()
        });
        written.map_err(StoreError::io("write", &index))?;
        let file = file.map_err(StoreError::io("write", &index))?;
        let packed = self.file.into_inner().map_err(|error| StoreError::io("write", &pack)(error.into_error()))?;
        // Git looks for indexes, so the pack has to be there before its index.
        put(packed, &pack)?;
        put(file, &index)?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync", &self.folder))
    }

    /// Writes the number of objects and the checksum, which is returned.
    fn seal(&mut self) -> io::Result<[u8; 20]> {
        let count = u32::try_from(self.objects.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.file.seek(SeekFrom::Start(HEADER_BYTES - 4))?;
        self.file.write_all(&count.to_be_bytes())?;
        self.file.seek(SeekFrom::Start(0))?;
        let file = self.file.get_mut().as_file_mut();
        let mut hasher = plain_hasher();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                count => hasher.update(&chunk[..count]),
            }
        }
        let checksum: [u8; 20] = hasher.finalize().into();
        file.write_all(&checksum)?;
        file.sync_data()?;
        Ok(checksum)
    }
}

fn put(file: NamedTempFile, place: &Path) -> Result<(), StoreError> {
    let failed = StoreError::io("put in place", place);
    let read_only = file.as_file().set_permissions(Permissions::from_mode(0o444));
    read_only.and_then(|()| file.persist(place).map_err(|error| error.error)).map_err(failed)?;
    Ok(())
}

/// A type and a size: four bits of the size in the first byte, then seven in each, lowest first.
fn object_head(kind: Kind, size: u64) -> Vec<u8> {
    let low = |bits: u64, mask: u64| u8::try_from(bits & mask).expect("it is masked");
    let mut head = vec![((kind as u8) << 4) | low(size, 0xf)];
    let mut rest = size >> 4;
    while rest > 0 {
        *head.last_mut().expect("it has a byte") |= 0x80;
        head.push(low(rest, 0x7f));
        rest >>= 7;
    }
    head
}

/// Returns the id that Git gives to a blob of `size` bytes from a reader, which is read to its end.
///
/// # Errors
/// `Size` when the reader has fewer or more bytes; when it cannot be read.
pub(crate) fn blob_id_from(source: impl Read, size: u64) -> Result<GitId, PackError> {
    let mut hasher = object_hasher(Kind::Blob, size);
    each_chunk(source, size, |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    finish_id(hasher)
}

/// Reads `size` bytes, and no more may come, in chunks.
fn each_chunk(
    mut source: impl Read,
    size: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), PackError>,
) -> Result<(), PackError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut rest = size;
    loop {
        let count = match source.read(&mut chunk) {
            Ok(0) if rest == 0 => return Ok(()),
            Ok(0) => return Err(PackError::Size { expected: size }),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(PackError::Read(error)),
        };
        rest = rest.checked_sub(count as u64).ok_or(PackError::Size { expected: size })?;
        take(&chunk[..count])?;
    }
}

/// The hasher of an object. As in Git it recognises content that was made to have the id of other content.
fn object_hasher(kind: Kind, size: u64) -> Sha1 {
    let mut hasher = Sha1::builder().safe_hash(false).build();
    hasher.update(format!("{} {size}\0", kind.name()));
    hasher
}

fn finish_id(hasher: Sha1) -> Result<GitId, PackError> {
    let result = hasher.try_finalize();
    let id = GitId::from_bytes((*result.hash()).into());
    if result.has_collision() { Err(PackError::Collision { id }) } else { Ok(id) }
}

/// The hasher of a file that nobody but us made.
fn plain_hasher() -> Sha1 {
    Sha1::builder().detect_collision(false).build()
}
