//! Reading blobs. The two messages that carry payload to us are declared here with `Bytes` fields, so that what
//! arrives is not copied before it is hashed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::time::timeout;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status, Streaming};

use super::{DEADLINE, MAX_MESSAGE, RemoteBlobStore, halves};
use crate::digest::{Digest, Hasher};
use crate::proto::{bytestream, reapi, rpc};
use crate::store::{StoreError, check_digest, wire};
use crate::transport::{CallError, Channel, is_of_transport};

const READ: &str = "ByteStream.Read";
/// How often a stream is opened again that brought nothing.
const ATTEMPTS: u32 = 4;
/// Pause before it is.
const PAUSE: Duration = Duration::from_millis(100);

/// `BatchReadBlobsResponse` whose payload is not copied.
#[derive(Clone, PartialEq, prost::Message)]
struct BatchReadResponse {
    #[prost(message, repeated, tag = "1")]
    responses: Vec<BatchReadEntry>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BatchReadEntry {
    #[prost(message, optional, tag = "1")]
    digest: Option<reapi::Digest>,
    #[prost(bytes = "bytes", tag = "2")]
    data: Bytes,
    #[prost(message, optional, tag = "3")]
    status: Option<rpc::Status>,
}

/// ByteStream's `ReadResponse` whose payload is not copied.
#[derive(Clone, PartialEq, prost::Message)]
struct ReadResponse {
    #[prost(bytes = "bytes", tag = "10")]
    data: Bytes,
}

/// Where the pieces of a blob go.
pub trait BlobSink {
    /// The blob begins, perhaps anew: what was taken before does not count.
    ///
    /// # Errors
    /// When there is no place for it.
    fn begin(&mut self) -> Result<(), StoreError>;

    /// The next piece, **not verified**.
    ///
    /// # Errors
    /// When it cannot be written.
    fn take(&mut self, piece: &[u8]) -> Result<(), StoreError>;
}

/// A file into which a blob is written.
pub(super) struct FileSink {
    path: PathBuf,
    file: File,
}

impl FileSink {
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let file = File::create(path).map_err(StoreError::io("make", path))?;
        Ok(Self { path: path.to_owned(), file })
    }
}

impl BlobSink for FileSink {
    fn begin(&mut self) -> Result<(), StoreError> {
        let begun = self.file.set_len(0).and_then(|()| self.file.rewind());
        begun.map_err(StoreError::io("begin again", &self.path))
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(piece).map_err(StoreError::io("write to", &self.path))
    }
}

impl BlobSink for Vec<u8> {
    fn begin(&mut self) -> Result<(), StoreError> {
        self.clear();
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.extend_from_slice(piece);
        Ok(())
    }
}

/// How an attempt to read a stream ended.
enum Ended {
    /// With as many bytes as the blob has.
    Whole,
    /// There is no such blob.
    Absent,
    /// What came does not go on from where the last attempt ended.
    Misfit,
    /// Too early.
    Broken(StoreError),
}

impl RemoteBlobStore {
    /// Reads blobs that fit into one batch. The bytes are as they came: **not verified**. Absent blobs are left out.
    ///
    /// # Errors
    /// When the endpoint brings a blob in no way, for any reason but absence.
    pub async fn read_batch(&self, digests: &[Digest]) -> Result<Vec<(Digest, Bytes)>, StoreError> {
        const RPC: &str = "BatchReadBlobs";
        if digests.iter().any(|digest| self.is_large(digest)) {
            return self.read_each(digests).await;
        }
        let request = reapi::BatchReadBlobsRequest {
            instance_name: self.instance.clone(),
            digests: digests.iter().map(|digest| (*digest).into()).collect(),
            digest_function: wire::function_number(self.function),
            ..Default::default()
        };
        match self.link.call(RPC, DEADLINE, |channel| batch_read(channel, request.clone())).await {
            Ok(answer) => self.answered(RPC, digests, answer).await,
            Err(error) => {
                self.refused_batch(RPC, error)?;
                if digests.len() == 1 {
                    return self.read_each(digests).await;
                }
                let mut found = Vec::with_capacity(digests.len());
                for half in halves(digests) {
                    found.extend(Box::pin(self.read_batch(half)).await?);
                }
                Ok(found)
            }
        }
    }

    /// Takes what a batch brought, and streams what it should have brought and did not.
    async fn answered(
        &self,
        rpc: &'static str,
        asked: &[Digest],
        answer: BatchReadResponse,
    ) -> Result<Vec<(Digest, Bytes)>, StoreError> {
        let mut unanswered: HashSet<Digest> = asked.iter().copied().collect();
        let mut blobs = Vec::with_capacity(answer.responses.len());
        for entry in answer.responses {
            let digest = wire::digest(self.function, "responses.digest", entry.digest.as_ref());
            let digest = digest.map_err(|error| self.broken(rpc, error.to_string()))?;
            match entry.status.map_or(Code::Ok, |status| Code::from(status.code)) {
                Code::Ok if unanswered.remove(&digest) => blobs.push((digest, entry.data)),
                Code::NotFound => {
                    unanswered.remove(&digest);
                }
                _ => {}
            }
        }
        if !unanswered.is_empty() {
            let rest: Vec<Digest> = unanswered.into_iter().collect();
            blobs.extend(self.read_each(&rest).await?);
        }
        Ok(blobs)
    }

    async fn read_each(&self, digests: &[Digest]) -> Result<Vec<(Digest, Bytes)>, StoreError> {
        let mut found = Vec::with_capacity(digests.len());
        for digest in digests {
            if let Some(bytes) = self.read_whole(digest).await? {
                found.push((*digest, bytes));
            }
        }
        Ok(found)
    }

    pub(super) async fn read_whole(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let mut bytes = Vec::new();
        Ok(self.read_stream(digest, &mut bytes).await?.then(|| bytes.into()))
    }

    /// Reads one blob of any size into a sink, and returns whether it is there. When this returns, the whole was
    /// verified; before that, the sink must not use what it took. A stream that breaks is gone on with where it
    /// broke, and begun anew when what follows does not fit.
    ///
    /// # Errors
    /// When the endpoint fails, the sink does, or the blob is not what the digest names.
    pub async fn read_stream(&self, digest: &Digest, sink: &mut impl BlobSink) -> Result<bool, StoreError> {
        let (mut hasher, mut resumes) = (digest.function().hasher(), true);
        let (mut furthest, mut fruitless) = (0, 0);
        sink.begin()?;
        loop {
            let resumed = hasher.size() > 0;
            let broken = match self.read_on(digest, &mut hasher, sink).await? {
                Ended::Absent => return Ok(false),
                Ended::Whole => {
                    let done = std::mem::replace(&mut hasher, digest.function().hasher());
                    match check_digest(digest, done) {
                        Ok(()) => return Ok(true),
                        Err(error) if !resumed => return Err(error),
                        Err(error) => Some(error),
                    }
                }
                Ended::Misfit => None,
                Ended::Broken(error) => {
                    fruitless = if hasher.size() > furthest { 0 } else { fruitless + 1 };
                    furthest = furthest.max(hasher.size());
                    if fruitless >= ATTEMPTS {
                        return Err(error);
                    }
                    tracing::debug!(?digest, %error, at = hasher.size(), "a stream broke");
                    tokio::time::sleep(PAUSE).await;
                    if resumes {
                        continue;
                    }
                    Some(error)
                }
            };
            // Some servers understand offsets wrongly, or not at all.
            tracing::debug!(?digest, ?broken, "reading a stream from its start again");
            (hasher, resumes) = (digest.function().hasher(), false);
            sink.begin()?;
        }
    }

    /// Reads on from where the hasher is.
    async fn read_on(
        &self,
        digest: &Digest,
        hasher: &mut Hasher,
        sink: &mut impl BlobSink,
    ) -> Result<Ended, StoreError> {
        let read_offset = i64::try_from(hasher.size()).unwrap_or(i64::MAX);
        let request = bytestream::ReadRequest { resource_name: self.resource(digest), read_offset, read_limit: 0 };
        let mut stream = match self.link.call(READ, DEADLINE, |channel| read(channel, request.clone())).await {
            Ok(stream) => stream,
            Err(CallError::Failed { status, .. }) => return self.ended(*status, hasher),
            Err(unreachable) => return Err(unreachable.into()),
        };
        loop {
            let piece = tokio::select! {
                piece = timeout(DEADLINE, stream.next()) => piece,
                error = self.link.gone() => return Err(error.into()),
            };
            let piece = match piece {
                Ok(None) => return Ok(self.closed(digest, hasher)),
                Ok(Some(Ok(piece))) => piece.data,
                Ok(Some(Err(status))) => return self.ended(status, hasher),
                Err(_) => return Ok(Ended::Broken(self.broken(READ, "nothing came for a minute"))),
            };
            if hasher.size() + piece.len() as u64 > digest.size() {
                let error = self.broken(READ, format!("more bytes than blob `{digest}` has"));
                return if read_offset > 0 { Ok(Ended::Misfit) } else { Err(error) };
            }
            hasher.update(&piece);
            sink.take(&piece)?;
        }
    }

    /// A stream that ends too early broke: a proxy in between may have closed it.
    fn closed(&self, digest: &Digest, hasher: &Hasher) -> Ended {
        if hasher.size() < digest.size() {
            let reason = format!("it ended after {} of {} bytes", hasher.size(), digest.size());
            return Ended::Broken(self.broken(READ, reason));
        }
        Ended::Whole
    }

    fn ended(&self, status: Status, hasher: &Hasher) -> Result<Ended, StoreError> {
        match status.code() {
            Code::NotFound => Ok(Ended::Absent),
            // It refuses to go on from there.
            Code::DataLoss | Code::OutOfRange | Code::InvalidArgument | Code::Unimplemented if hasher.size() > 0 => {
                Ok(Ended::Misfit)
            }
            // It had the blob and found it corrupt while reading: it has it no longer.
            Code::DataLoss => Ok(Ended::Absent),
            Code::Unavailable | Code::Aborted | Code::Internal | Code::Unknown | Code::Cancelled => {
                Ok(Ended::Broken(self.failed(READ)(status)))
            }
            _ if is_of_transport(&status) => Ok(Ended::Broken(self.failed(READ)(status))),
            _ => Err(self.failed(READ)(status)),
        }
    }
}

async fn ready(channel: Channel) -> Result<tonic::client::Grpc<Channel>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    Ok(grpc)
}

async fn batch_read(channel: Channel, request: reapi::BatchReadBlobsRequest) -> Result<BatchReadResponse, Status> {
    let path = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs";
    let codec = tonic_prost::ProstCodec::<reapi::BatchReadBlobsRequest, BatchReadResponse>::default();
    let answer = ready(channel).await?.unary(Request::new(request), PathAndQuery::from_static(path), codec).await?;
    Ok(answer.into_inner())
}

async fn read(channel: Channel, request: bytestream::ReadRequest) -> Result<Streaming<ReadResponse>, Status> {
    let path = PathAndQuery::from_static("/google.bytestream.ByteStream/Read");
    let codec = tonic_prost::ProstCodec::<bytestream::ReadRequest, ReadResponse>::default();
    Ok(ready(channel).await?.server_streaming(Request::new(request), path, codec).await?.into_inner())
}
