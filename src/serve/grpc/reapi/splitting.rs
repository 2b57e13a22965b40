//! SplitBlob and SpliceBlob: a blob as the list of its chunks, and back.
//!
//! Both go step by step, each a few chunks long, so that a call that nobody waits for any more comes to an end.

use std::io::{self, Read};

use tonic::Status;

use super::batch::MAX_BATCH_BYTES;
use crate::digest::Digest;
use crate::serve::status::{store_status, upload_status};
use crate::store::{AVERAGE_CHUNK, BlobStore, BlobWriter, Chunks, LocalBlobStore, StoreError, blocking};

/// Most chunks of one blob: their digests fit into a message that every client takes.
const MAX_CHUNKS: usize = 40_000;
/// Largest blob that is split: as large as that many chunks are on average.
const MAX_SPLIT_BYTES: u64 = MAX_CHUNKS as u64 * AVERAGE_CHUNK as u64;
/// Chunks in a step.
const STEP: usize = 16;
/// Bytes copied at a time.
const COPY: usize = 256 << 10;

/// Cuts a blob into chunks, which are in the CAS when their digests are returned.
///
/// # Errors
/// When the blob is not in the CAS or too large, or the chunks cannot be stored.
pub(super) async fn split(store: &LocalBlobStore, blob: Digest) -> Result<Vec<Digest>, Status> {
    if blob.size() > MAX_SPLIT_BYTES {
        let reason = format!("blob `{blob}` is too large to be split: {MAX_SPLIT_BYTES} bytes are the most");
        return Err(Status::invalid_argument(reason));
    }
    let opened = blocking({
        let store = store.clone();
        move || store.open_read(&blob)
    });
    let reader = opened.await.map_err(|error| store_status(&error))?.ok_or_else(|| absent(&[blob]))?;
    let mut chunks = Chunks::of(reader);
    let mut digests: Vec<Digest> = Vec::new();
    loop {
        let store = store.clone();
        let step = blocking(move || {
            let stored = chunks.by_ref().take(STEP).map(|chunk| store_chunk(&store, &blob, chunk));
            let stored = stored.collect::<Result<Vec<Digest>, Status>>();
            (stored, chunks)
        });
        let stored;
        (stored, chunks) = step.await;
        let stored = stored?;
        digests.extend(&stored);
        if digests.len() > MAX_CHUNKS {
            return Err(Status::resource_exhausted(format!("blob `{blob}` has more than {MAX_CHUNKS} chunks")));
        }
        if stored.len() < STEP {
            return Ok(digests);
        }
    }
}

fn store_chunk(store: &LocalBlobStore, blob: &Digest, chunk: io::Result<Vec<u8>>) -> Result<Digest, Status> {
    let chunk = chunk.map_err(|source| read_status(blob, source))?;
    let digest = blob.function().digest(&chunk);
    if !store.contains(&digest).map_err(|error| store_status(&error))? {
        store.write(&digest, &chunk).map_err(|error| store_status(&error))?;
    }
    Ok(digest)
}

/// Makes a blob from its chunks.
///
/// # Errors
/// When a chunk is not in the CAS, or they are not the blob.
pub(super) async fn splice(store: &LocalBlobStore, blob: Digest, chunks: Vec<Digest>) -> Result<(), Status> {
    check_sizes(&blob, &chunks)?;
    let _pin = store.pin(chunks.clone());
    if store.find_missing(&[blob]).await.map_err(|error| store_status(&error))?.is_empty() {
        return Ok(());
    }
    let missing = store.find_missing(&chunks).await.map_err(|error| store_status(&error))?;
    if !missing.is_empty() {
        return Err(absent(&missing));
    }
    let begun = blocking({
        let store = store.clone();
        move || store.writer(&blob)
    });
    let mut writer = begun.await.map_err(|error| upload_status(&error))?;
    for step in chunks.chunks(STEP) {
        let (store, step) = (store.clone(), step.to_vec());
        let copied =
            blocking(move || step.iter().try_for_each(|chunk| copy(&store, chunk, &mut writer)).map(|()| writer));
        writer = copied.await?;
    }
    blocking(move || writer.finish()).await.map_err(|error| upload_status(&error))
}

/// Checks what can be told from the digests.
fn check_sizes(blob: &Digest, chunks: &[Digest]) -> Result<(), Status> {
    if chunks.len() > MAX_CHUNKS {
        return Err(Status::invalid_argument(format!("{} chunks; {MAX_CHUNKS} are the most", chunks.len())));
    }
    let total = chunks.iter().try_fold(0_u64, |total, chunk| total.checked_add(chunk.size()));
    if total == Some(blob.size()) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("the sizes of the chunks do not add up to that of blob `{blob}`")))
}

fn copy(store: &LocalBlobStore, chunk: &Digest, writer: &mut BlobWriter) -> Result<(), Status> {
    if chunk.size() <= MAX_BATCH_BYTES {
        let bytes = store.read(chunk).map_err(|error| store_status(&error))?.ok_or_else(|| absent(&[*chunk]))?;
        return writer.write(&bytes).map_err(|error| upload_status(&error));
    }
    let reader = store.open_read(chunk).map_err(|error| store_status(&error))?;
    let mut reader = reader.ok_or_else(|| absent(&[*chunk]))?;
    let mut buffer = vec![0; COPY];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => writer.write(&buffer[..count]).map_err(|error| upload_status(&error))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(read_status(chunk, source)),
        }
    }
}

fn absent(blobs: &[Digest]) -> Status {
    let first = blobs.first().map(ToString::to_string).unwrap_or_default();
    match blobs.len() {
        0 | 1 => Status::not_found(format!("blob `{first}` is not in the CAS")),
        count => Status::not_found(format!("{count} blobs are not in the CAS, the first of them `{first}`")),
    }
}

/// Returns the status of a blob that could not be read. Found corrupt, it has been removed.
fn read_status(blob: &Digest, source: io::Error) -> Status {
    if source.kind() == io::ErrorKind::InvalidData {
        return absent(&[*blob]);
    }
    store_status(&StoreError::Io { action: "read the blob", path: blob.to_string().into(), source })
}
