//! Many small blobs in one call, each with a status of its own.
//!
//! The store is asked once for all of them. Only when it refuses are they taken one at a time, to tell the good
//! from the bad.

use std::collections::HashMap;

use bytes::Bytes;
use tonic::Status;

use super::compression::{BatchCompressor, Compressor, DecompressError, decompress};
use super::digest;
use super::messages::{ReadEntry, UpdateEntry};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::proto::reapi::batch_update_blobs_response::Response;
use crate::serve::status::{store_status, upload_status};
use crate::store::wire::status_message;
use crate::store::{BlobStore, LocalBlobStore, blocking};

/// Most bytes of blobs in one batch. Clients take messages of 4 MiB unless told otherwise, and the digests
/// of a batch must fit beside its blobs.
pub(super) const MAX_BATCH_BYTES: u64 = (4 << 20) - (64 << 10);

/// A blob of a request, or why it is none.
type Checked = Result<(Digest, Bytes), Status>;

/// Stores the blobs of a request.
///
/// # Errors
/// When they are too large together.
pub(super) async fn update(
    store: &LocalBlobStore,
    function: DigestFunction,
    entries: Vec<UpdateEntry>,
) -> Result<Vec<Response>, Status> {
    check_total(entries.iter().map(|entry| entry.data.len() as u64))?;
    // What is compressed must not become more than may be sent as it is.
    check_total(entries.iter().filter_map(|entry| entry.digest.as_ref()).map(claimed_size))?;
    let checked = blocking(move || {
        entries.into_iter().map(|entry| (checked(function, &entry), entry.digest)).collect::<Vec<(Checked, _)>>()
    });
    let checked = checked.await;
    let good: Vec<(Digest, Bytes)> = checked.iter().filter_map(|(blob, _)| blob.as_ref().ok().cloned()).collect();
    let all_stored = good.is_empty() || store.put_batch(good).await.is_ok();
    let store = store.clone();
    let answer = move |(blob, digest): (Checked, Option<reapi::Digest>)| {
        let stored = blob.and_then(|(digest, bytes)| match all_stored {
            true => Ok(()),
            false => store.write(&digest, &bytes).map_err(|error| upload_status(&error)),
        });
        Response { digest, status: Some(stored.as_ref().err().map(status_message).unwrap_or_default()) }
    };
    Ok(blocking(move || checked.into_iter().map(answer).collect()).await)
}

fn checked(function: DigestFunction, entry: &UpdateEntry) -> Checked {
    let digest = digest(function, "requests.digest", entry.digest.as_ref())?;
    match Compressor::of_number(entry.compressor) {
        Some(Compressor::Identity) => Ok((digest, entry.data.clone())),
        Some(Compressor::Zstd) => {
            let refused = |error: DecompressError<_>| Status::invalid_argument(format!("blob `{digest}`: {error}"));
            Ok((digest, decompress(&entry.data, digest.size()).map_err(refused)?))
        }
        None => Err(Status::invalid_argument(format!("compressor {} is not offered; ZSTD (1) is", entry.compressor))),
    }
}

/// Reads the blobs that were asked for, in that order.
///
/// # Errors
/// When they are too large together.
pub(super) async fn read(
    store: &LocalBlobStore,
    function: DigestFunction,
    asked: Vec<reapi::Digest>,
    acceptable: &[i32],
) -> Result<Vec<ReadEntry>, Status> {
    check_total(asked.iter().map(claimed_size))?;
    let asked: Vec<_> =
        asked.into_iter().map(|message| (digest(function, "digests", Some(&message)), message)).collect();
    let good: Vec<Digest> = asked.iter().filter_map(|(digest, _)| digest.as_ref().ok().copied()).collect();
    let found = store.get_batch(&good).await.ok();
    let store = store.clone();
    let mut compressor = BatchCompressor::new(acceptable.contains(&Compressor::Zstd.number()));
    let answer = move |(digest, message): (Result<Digest, Status>, reapi::Digest)| {
        let blob = digest.and_then(|digest| blob(&store, found.as_ref(), &digest));
        let status = Some(blob.as_ref().err().map(status_message).unwrap_or_default());
        let (data, compressor) = blob.map_or((Bytes::new(), Compressor::Identity), |blob| compressor.compress(blob));
        ReadEntry { digest: Some(message), data, status, compressor: compressor.number() }
    };
    Ok(blocking(move || asked.into_iter().map(answer).collect()).await)
}

/// Returns a blob from what was found, or from the store when finding all at once failed.
fn blob(store: &LocalBlobStore, found: Option<&HashMap<Digest, Bytes>>, digest: &Digest) -> Result<Bytes, Status> {
    let blob = match found {
        Some(found) => found.get(digest).cloned(),
        None => store.read(digest).map_err(|error| store_status(&error))?,
    };
    blob.ok_or_else(|| Status::not_found(format!("blob `{digest}` is not in the CAS")))
}

/// Returns the size that a digest claims. One below zero is refused for itself.
fn claimed_size(digest: &reapi::Digest) -> u64 {
    u64::try_from(digest.size_bytes).unwrap_or(0)
}

/// Refuses batches that are larger than announced.
fn check_total(sizes: impl Iterator<Item = u64>) -> Result<(), Status> {
    let total = sizes.fold(0, u64::saturating_add);
    if total <= MAX_BATCH_BYTES {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("a batch of {total} bytes; {MAX_BATCH_BYTES} are the most")))
}
