//! What is found in a layer, on its way from the thread that reads to the task that stores.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use tempfile::NamedTempFile;
use tokio::sync::mpsc::Sender;

use super::LayerError;
use super::input::Input;
use super::sparse::{self, Sparse};
use crate::digest::{Digest, DigestFunction, Hasher};
use crate::store::{BATCH_BYTES, Found};

/// Bytes of a large file that are in memory at once.
pub(super) const BUFFER_BYTES: usize = 256 << 10;

/// What is attempted when a file is written.
const ROOM: &str = "make room for";

/// Takes content out of an archive and hands it over.
pub(super) struct Finder {
    pub(super) function: DigestFunction,
    pub(super) scratch: PathBuf,
    pub(super) sender: Sender<Found>,
}

impl Finder {
    pub(super) fn content(&self, input: &mut Input<impl Read>, size: u64) -> Result<Digest, LayerError> {
        let digest = if size > BATCH_BYTES {
            self.large(input, size)?
        } else {
            let mut bytes = vec![0; usize::try_from(size).expect("it was compared")];
            input.bytes(&mut bytes)?;
            let digest = self.function.digest(&bytes);
            self.send(Found::Bytes(digest, bytes.into()))?;
            digest
        };
        input.padding(size)?;
        Ok(digest)
    }

    fn large(&self, input: &mut Input<impl Read>, size: u64) -> Result<Digest, LayerError> {
        let mut file = self.file()?;
        copy(input, &mut file, size)?;
        self.finish(file)
    }

    /// Takes the content of a sparse file, of which the archive has so many bytes.
    pub(super) fn sparse(
        &self,
        input: &mut Input<impl Read>,
        stored: u64,
        sparse: &Sparse,
        wrong: &dyn Fn(&'static str) -> LayerError,
    ) -> Result<Digest, LayerError> {
        let (map, taken) = match sparse {
            Sparse::Mapped(map) => (map.clone(), 0),
            Sparse::Before { size } => sparse::before_content(*size, stored, input)?.map_err(wrong)?,
        };
        map.check(stored - taken).map_err(wrong)?;
        input.hole(map.size - (stored - taken))?;
        let mut file = self.file()?;
        for (offset, length) in &map.parts {
            zeros(&mut file, *offset)?;
            copy(input, &mut file, *length)?;
        }
        zeros(&mut file, map.size)?;
        input.padding(stored)?;
        self.finish(file)
    }

    fn file(&self) -> Result<Hashing, LayerError> {
        let file = NamedTempFile::new_in(&self.scratch).map_err(LayerError::io(ROOM))?;
        Ok(Hashing { file, hasher: self.function.hasher() })
    }

    fn finish(&self, Hashing { file, hasher }: Hashing) -> Result<Digest, LayerError> {
        let digest = hasher.finish();
        self.send(Found::File(digest, file))?;
        Ok(digest)
    }

    pub(super) fn send(&self, found: Found) -> Result<(), LayerError> {
        // The store failed, which is what the caller is told, or nobody waits any more.
        let gone = |_| LayerError::Io { action: "store the content of", source: std::io::ErrorKind::BrokenPipe.into() };
        self.sender.blocking_send(found).map_err(gone)
    }
}

/// A large file being written.
struct Hashing {
    file: NamedTempFile,
    hasher: Hasher,
}

/// Writes so many bytes of an archive into a file.
fn copy(input: &mut Input<impl Read>, to: &mut Hashing, bytes: u64) -> Result<(), LayerError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut rest = bytes;
    while rest > 0 {
        let piece = &mut buffer[..usize::try_from(rest).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES)];
        input.bytes(piece)?;
        to.hasher.update(piece);
        to.file.write_all(piece).map_err(LayerError::io(ROOM))?;
        rest -= piece.len() as u64;
    }
    Ok(())
}

/// Fills a file with zeros up to an offset; on the disk they are a hole.
fn zeros(to: &mut Hashing, offset: u64) -> Result<(), LayerError> {
    let zeros = vec![0; BUFFER_BYTES];
    while to.hasher.size() < offset {
        let rest = offset - to.hasher.size();
        to.hasher.update(&zeros[..usize::try_from(rest).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES)]);
    }
    let file = to.file.as_file_mut();
    file.set_len(offset).and_then(|()| file.seek(SeekFrom::Start(offset))).map_err(LayerError::io(ROOM))?;
    Ok(())
}
