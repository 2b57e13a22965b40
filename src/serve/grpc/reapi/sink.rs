//! Where the pieces of a Write go: into an upload that can be gone on with, or through the decompressor.

use bytes::Bytes;
use tonic::Status;

use super::compression::{DecompressError, Decompressor};
use super::upload::Turn;
use crate::digest::Digest;
use crate::serve::status::upload_status;
use crate::store::{BlobWriter, LocalBlobStore, StoreError, blocking};

/// What takes the pieces of one Write.
pub(super) enum Sink {
    /// They are the blob.
    Plain(Turn),
    /// They are its compressed form. Nothing is kept when it breaks off.
    Zstd(Box<Unpacking>),
}

/// A blob that comes compressed.
pub(super) struct Unpacking {
    digest: Digest,
    decompressor: Decompressor,
    writer: BlobWriter,
}

impl Sink {
    /// Begins a blob that comes compressed.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(super) async fn unpack(store: &LocalBlobStore, digest: Digest) -> Result<Self, Status> {
        let store = store.clone();
        let unpacking = blocking(move || {
            let writer = store.writer(&digest).map_err(|error| upload_status(&error))?;
            let no_memory = |_| Status::resource_exhausted("there is no memory for another decompressor");
            Ok::<_, Status>(Unpacking {
                digest,
                decompressor: Decompressor::new(digest.size()).map_err(no_memory)?,
                writer,
            })
        });
        Ok(Self::Zstd(Box::new(unpacking.await?)))
    }

    /// Takes the next pieces.
    ///
    /// # Errors
    /// When they are not to be had, or cannot be written.
    pub(super) async fn append(self, pieces: Vec<Bytes>) -> Result<Self, Status> {
        match self {
            Self::Plain(mut turn) => turn.append(pieces).await.map(|()| Self::Plain(turn)),
            Self::Zstd(mut unpacking) => {
                let unpacked = blocking(move || {
                    let digest = unpacking.digest;
                    pieces
                        .iter()
                        .try_for_each(|piece| unpacking.take(piece))
                        .map(|()| unpacking)
                        .map_err(|error| unpack_status(&digest, error))
                });
                unpacked.await.map(Self::Zstd)
            }
        }
    }

    /// Stores the whole.
    ///
    /// # Errors
    /// When it is not the blob that the digest names.
    pub(super) async fn finish(self) -> Result<(), Status> {
        match self {
            Self::Plain(turn) => turn.finish().await,
            Self::Zstd(unpacking) => {
                let Unpacking { digest, decompressor, writer } = *unpacking;
                let finished = blocking(move || {
                    decompressor.finish()?;
                    writer.finish().map_err(DecompressError::Taken)
                });
                finished.await.map_err(|error| unpack_status(&digest, error))
            }
        }
    }

    /// Forgets what came.
    pub(super) fn discard(self) {
        match self {
            Self::Plain(mut turn) => turn.discard(),
            Self::Zstd(_) => {}
        }
    }
}

impl Unpacking {
    fn take(&mut self, piece: &[u8]) -> Result<(), DecompressError<StoreError>> {
        let writer = &mut self.writer;
        self.decompressor.feed(piece, |bytes| writer.write(bytes))
    }
}

fn unpack_status(digest: &Digest, error: DecompressError<StoreError>) -> Status {
    match error {
        DecompressError::Malformed(source) => {
            Status::invalid_argument(format!("blob `{digest}`: the compressed bytes cannot be read as zstd: {source}"))
        }
        DecompressError::TooMany { .. } | DecompressError::Truncated => {
            Status::invalid_argument(format!("blob `{digest}`: {error}"))
        }
        DecompressError::Taken(error) => upload_status(&error),
    }
}
