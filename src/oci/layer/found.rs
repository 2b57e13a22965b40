//! What is found in a layer, on its way from the thread that reads to the task that stores.

use std::io::{Read, Write};
use std::path::PathBuf;

use tempfile::NamedTempFile;
use tokio::sync::mpsc::Sender;

use super::LayerError;
use super::input::Input;
use crate::digest::{Digest, DigestFunction};
use crate::store::{BATCH_BYTES, Found};

/// Bytes of a large file that are in memory at once.
pub(super) const BUFFER_BYTES: usize = 256 << 10;

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
        let room = "make room for";
        let mut file = NamedTempFile::new_in(&self.scratch).map_err(LayerError::io(room))?;
        let mut hasher = self.function.hasher();
        let mut buffer = vec![0; BUFFER_BYTES];
        while hasher.size() < size {
            let rest = usize::try_from(size - hasher.size()).unwrap_or(BUFFER_BYTES);
            let piece = &mut buffer[..rest.min(BUFFER_BYTES)];
            input.bytes(piece)?;
            hasher.update(piece);
            file.write_all(piece).map_err(LayerError::io(room))?;
        }
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
