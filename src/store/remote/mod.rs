//! The CAS of a REAPI endpoint, over gRPC.
//!
//! Small blobs travel in batches, larger ones by ByteStream. Endpoints differ in what they can: a batch that is
//! refused is halved, and what no batch brings is streamed. Nothing is believed before it was hashed.

mod actions;
mod capabilities;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tonic::{Code, Status};

use super::{BATCH_BYTES, BlobStore, StoreError, check_digest, wire};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::proto::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use crate::transport::{CallError, Channel, Link};

pub use actions::RemoteActionCache;
pub use capabilities::Capabilities;
pub use read::BlobSink;

use read::FileSink;
use write::Payload;

/// Digests asked for in one FindMissingBlobs; keeps the request below 1 MiB.
const FIND_MISSING_DIGESTS: usize = 10_000;
/// Largest message taken; a batch with its framing is far below it.
const MAX_MESSAGE: usize = 16 << 20;
/// Calls of one operation that are on their way at a time.
const CALLS_AT_ONCE: usize = 4;
/// Longest wait for an answer, or for the next piece of a stream.
const DEADLINE: Duration = Duration::from_secs(60);

/// The CAS at an endpoint, within one instance, under one digest function.
#[derive(Debug, Clone)]
pub struct RemoteBlobStore {
    link: Link,
    instance: String,
    function: DigestFunction,
    batch_bytes: u64,
    /// Set when the endpoint turned out to have no batch methods.
    no_batches: Arc<AtomicBool>,
    /// Bytes that were sent, or asked for and found, where somebody counts them.
    settled: Option<Arc<AtomicU64>>,
}

impl RemoteBlobStore {
    /// Returns the CAS behind a connection.
    pub fn new(link: Link, instance: String, function: DigestFunction) -> Self {
        Self { link, instance, function, batch_bytes: BATCH_BYTES, no_batches: Arc::default(), settled: None }
    }

    /// Limits the bytes of blobs in one batch to what the endpoint takes; 0 stands for no limit given.
    #[must_use]
    pub fn with_batch_bytes(mut self, limit: u64) -> Self {
        self.batch_bytes = if limit == 0 { BATCH_BYTES } else { limit.min(BATCH_BYTES) };
        self
    }

    /// Returns the same CAS over a connection of its own, to be used on another runtime.
    ///
    /// # Errors
    /// Never, in practice: the address was good before.
    pub fn another(&self) -> Result<Self, StoreError> {
        Ok(Self { link: self.link.another()?, ..self.clone() })
    }

    /// Returns the same CAS, and how many bytes of blobs it has after what was asked of what is returned: they were
    /// sent, or looked for and there. What is sent again counts again.
    pub fn counting(&self) -> (Self, Arc<AtomicU64>) {
        let settled = Arc::<AtomicU64>::default();
        (Self { settled: Some(Arc::clone(&settled)), ..self.clone() }, settled)
    }

    fn settle(&self, bytes: u64) {
        if let Some(settled) = &self.settled {
            settled.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Returns the connection.
    pub fn link(&self) -> &Link {
        &self.link
    }

    fn failed(&self, rpc: &'static str) -> impl Fn(Status) -> StoreError + use<> {
        let endpoint = self.link.endpoint().to_string();
        move |status| StoreError::Rpc { rpc, endpoint: endpoint.clone(), source: Box::new(status) }
    }

    fn broken(&self, rpc: &'static str, reason: impl Into<String>) -> StoreError {
        StoreError::Protocol { rpc, endpoint: self.link.endpoint().to_string(), reason: reason.into() }
    }

    fn resource(&self, digest: &Digest) -> String {
        let instance = if self.instance.is_empty() { String::new() } else { format!("{}/", self.instance) };
        match digest.function() {
            DigestFunction::Sha256 => format!("{instance}blobs/{digest}"),
            DigestFunction::Blake3 => format!("{instance}blobs/blake3/{digest}"),
        }
    }

    /// Says whether a blob is to travel by itself.
    fn is_large(&self, digest: &Digest) -> bool {
        digest.size() > self.batch_bytes || self.no_batches.load(Ordering::Relaxed)
    }

    /// Notes what the refusal of a batch means for others; `Err` when it is not the batch that is refused.
    fn refused_batch(&self, rpc: &'static str, error: CallError) -> Result<(), StoreError> {
        let CallError::Failed { status, .. } = &error else { return Err(error.into()) };
        match status.code() {
            Code::Unimplemented => {
                if !self.no_batches.swap(true, Ordering::Relaxed) {
                    let endpoint = self.link.endpoint();
                    tracing::warn!(%endpoint, "the endpoint has no {rpc}: every blob travels in a stream of its own");
                }
                Ok(())
            }
            // Larger than it takes, in the words of different servers.
            Code::ResourceExhausted | Code::OutOfRange | Code::InvalidArgument => {
                tracing::debug!(%status, "{rpc} was refused: trying with less");
                Ok(())
            }
            _ => Err(error.into()),
        }
    }

    async fn find_missing_of(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        const RPC: &str = "FindMissingBlobs";
        let request = reapi::FindMissingBlobsRequest {
            instance_name: self.instance.clone(),
            blob_digests: digests.iter().map(|digest| (*digest).into()).collect(),
            digest_function: wire::function_number(self.function),
        };
        let ask = |channel| {
            let request = request.clone();
            async move { cas(channel).find_missing_blobs(request).await }
        };
        let answer = self.link.call(RPC, DEADLINE, ask).await?.into_inner();
        let digest = |message| wire::digest(self.function, "missing_blob_digests", Some(message));
        let missing = answer.missing_blob_digests.iter().map(digest).collect::<Result<_, _>>();
        missing.map_err(|error| self.broken(RPC, error.to_string()))
    }
}

fn cas(channel: Channel) -> ContentAddressableStorageClient<Channel> {
    ContentAddressableStorageClient::new(channel).max_decoding_message_size(MAX_MESSAGE)
}

/// Makes calls, some at a time, and returns their answers in any order, or the first error.
async fn all<T>(calls: Vec<impl Future<Output = Result<T, StoreError>>>) -> Result<Vec<T>, StoreError> {
    futures::stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).try_collect().await
}

/// Cuts a list in two.
fn halves<T>(list: &[T]) -> [&[T]; 2] {
    let (first, second) = list.split_at(list.len() / 2);
    [first, second]
}

#[async_trait]
impl BlobStore for RemoteBlobStore {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let mut seen = HashSet::with_capacity(digests.len());
        let asked: Vec<Digest> = digests.iter().filter(|digest| seen.insert(**digest)).copied().collect();
        let calls = asked.chunks(FIND_MISSING_DIGESTS).map(|chunk| self.find_missing_of(chunk)).collect();
        let missing: HashSet<Digest> = all(calls).await?.into_iter().flatten().collect();
        self.settle(asked.iter().filter(|digest| !missing.contains(digest)).map(Digest::size).sum());
        Ok(asked.into_iter().filter(|digest| missing.contains(digest)).collect())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        Ok(self.get_batch(&[*digest]).await?.remove(digest))
    }

    async fn get_batch(&self, digests: &[Digest]) -> Result<HashMap<Digest, Bytes>, StoreError> {
        let (large, small): (Vec<Digest>, Vec<Digest>) = digests.iter().partition(|digest| self.is_large(digest));
        let batches = wire::batches(&small, self.batch_bytes);
        let calls = batches.into_iter().map(|batch| self.read_batch(batch)).collect();
        let mut found = HashMap::with_capacity(digests.len());
        for (digest, bytes) in all(calls).await?.into_iter().flatten() {
            let mut hasher = digest.function().hasher();
            hasher.update(&bytes);
            check_digest(&digest, hasher)?;
            found.insert(digest, bytes);
        }
        for digest in large {
            if let Some(bytes) = self.read_whole(&digest).await? {
                found.insert(digest, bytes);
            }
        }
        Ok(found)
    }

    async fn put_batch(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        let (large, small): (Vec<_>, Vec<_>) = blobs.into_iter().partition(|(digest, _)| self.is_large(digest));
        let digests: Vec<Digest> = small.iter().map(|(digest, _)| *digest).collect();
        let mut rest = &small[..];
        let batches = wire::batches(&digests, self.batch_bytes).into_iter().map(|batch| {
            let (now, later) = rest.split_at(batch.len());
            rest = later;
            self.write_batch(now)
        });
        all(batches.collect()).await?;
        let streams = large.iter().map(|(digest, bytes)| self.write_stream(digest, Payload::Bytes(bytes.clone())));
        all(streams.collect()).await?;
        Ok(())
    }

    async fn put_file(&self, digest: &Digest, path: &Path) -> Result<(), StoreError> {
        self.write_stream(digest, Payload::File(path.to_owned())).await
    }

    async fn get_file(&self, digest: &Digest, path: &Path) -> Result<bool, StoreError> {
        let mut sink = FileSink::create(path)?;
        self.read_stream(digest, &mut sink).await
    }
}
