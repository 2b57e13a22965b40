//! Writing blobs.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt};
use tonic::Status;

use super::{DEADLINE, RemoteBlobStore, cas, halves};
use crate::digest::Digest;
use crate::proto::reapi::batch_update_blobs_request;
use crate::proto::{bytestream, reapi};
use crate::store::{StoreError, wire};
use crate::transport::Channel;

const WRITE: &str = "ByteStream.Write";
/// Payload of one ByteStream message.
const CHUNK: usize = 256 << 10;
/// Slowest rate at which a blob is expected to be taken, in bytes per second; gives the time that a write has.
const SLOWEST: u64 = 64 << 10;

/// What a blob is written from. It may be read more than once.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    Bytes(Bytes),
    File(PathBuf),
}

impl Payload {
    async fn open(&self) -> io::Result<Pin<Box<dyn AsyncRead + Send>>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::pin(io::Cursor::new(bytes.clone())),
            Self::File(path) => Box::pin(tokio::fs::File::open(path).await?),
        })
    }
}

impl RemoteBlobStore {
    /// Writes blobs that fit into one batch.
    pub(super) async fn write_batch(&self, blobs: &[(Digest, Bytes)]) -> Result<(), StoreError> {
        const RPC: &str = "BatchUpdateBlobs";
        if blobs.iter().any(|(digest, _)| self.is_large(digest)) {
            return self.write_each(blobs).await;
        }
        let requests = blobs.iter().map(|(digest, bytes)| batch_update_blobs_request::Request {
            digest: Some((*digest).into()),
            data: bytes.to_vec(),
            ..Default::default()
        });
        let request = reapi::BatchUpdateBlobsRequest {
            instance_name: self.instance.clone(),
            requests: requests.collect(),
            digest_function: wire::function_number(self.function),
        };
        let update = |channel| {
            let request = request.clone();
            async move { cas(channel).batch_update_blobs(request).await }
        };
        match self.link.call(RPC, DEADLINE, update).await {
            Ok(answer) => {
                let good = answer.into_inner().responses.into_iter().filter(|response| is_ok(response.status.as_ref()));
                let written: std::collections::HashSet<String> =
                    good.filter_map(|response| Some(response.digest?.hash)).collect();
                let (there, rest): (Vec<_>, Vec<_>) =
                    blobs.iter().cloned().partition(|(digest, _)| written.contains(&digest.hash()));
                self.settle(there.iter().map(|(digest, _)| digest.size()).sum());
                // The reason for which one was refused shows when it is sent by itself.
                self.write_each(&rest).await
            }
            Err(error) => {
                self.refused_batch(RPC, error)?;
                if blobs.len() == 1 {
                    return self.write_each(blobs).await;
                }
                for half in halves(blobs) {
                    Box::pin(self.write_batch(half)).await?;
                }
                Ok(())
            }
        }
    }

    async fn write_each(&self, blobs: &[(Digest, Bytes)]) -> Result<(), StoreError> {
        for (digest, bytes) in blobs {
            self.write_stream(digest, Payload::Bytes(bytes.clone())).await?;
        }
        Ok(())
    }

    /// Writes one blob of any size; from its start again when the stream breaks.
    pub(super) async fn write_stream(&self, digest: &Digest, payload: Payload) -> Result<(), StoreError> {
        let name = self.resource(digest);
        let Some((instance, blob)) = name.rsplit_once("blobs/") else {
            return Err(self.broken(WRITE, format!("no upload name for `{name}`")));
        };
        let deadline = DEADLINE + std::time::Duration::from_secs(digest.size() / SLOWEST);
        let write = |channel| {
            let resource = format!("{instance}uploads/{}/blobs/{blob}", uuid::Uuid::new_v4());
            write(channel, resource, digest.size(), payload.clone(), self.settled.clone())
        };
        let committed = self.link.call(WRITE, deadline, write).await?;
        if u64::try_from(committed) == Ok(digest.size()) {
            return Ok(());
        }
        Err(self.broken(WRITE, format!("{committed} of {} bytes of a blob were committed", digest.size())))
    }
}

fn is_ok(status: Option<&crate::proto::rpc::Status>) -> bool {
    status.is_none_or(|status| status.code == 0)
}

/// Makes one attempt and returns the committed size.
async fn write(
    channel: Channel,
    resource: String,
    size: u64,
    payload: Payload,
    settled: Option<Arc<AtomicU64>>,
) -> Result<i64, Status> {
    let reader = payload.open().await.map_err(|error| Status::failed_precondition(error.to_string()))?;
    let mut client = bytestream::byte_stream_client::ByteStreamClient::new(channel);
    let requests = requests(resource, size, reader).inspect(move |request| {
        if let Some(settled) = &settled {
            settled.fetch_add(request.data.len() as u64, Ordering::Relaxed);
        }
    });
    Ok(client.write(requests).await?.into_inner().committed_size)
}

/// Cuts what a reader gives into the messages of a ByteStream write.
fn requests(
    resource: String,
    size: u64,
    reader: Pin<Box<dyn AsyncRead + Send>>,
) -> impl futures::Stream<Item = bytestream::WriteRequest> + Send + 'static {
    futures::stream::unfold(Some((reader, 0_u64, resource)), move |state| async move {
        let (mut reader, offset, resource_name) = state?;
        let mut data = Vec::with_capacity(CHUNK);
        // A read error ends the stream early; the server then refuses the blob for its size.
        let count = (&mut reader).take(CHUNK as u64).read_to_end(&mut data).await.unwrap_or(0) as u64;
        let finish_write = count == 0 || offset + count >= size;
        let write_offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let request = bytestream::WriteRequest { resource_name, write_offset, finish_write, data };
        let next = (!finish_write).then(|| (reader, offset + count, String::new()));
        Some((request, next))
    })
}
