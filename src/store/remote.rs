//! The CAS of a REAPI endpoint, over gRPC.
//!
//! Blobs up to `BATCH_BYTES` travel in batches, larger ones by ByteStream. The
//! two messages that carry payload to us are declared here with `Bytes`
//! fields, so that what arrives is not copied before it is hashed.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use tokio::io::AsyncReadExt;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::{BATCH_BYTES, BlobStore, StoreError, check_digest, wire};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi::batch_update_blobs_request;
use crate::proto::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use crate::proto::{bytestream, reapi, rpc};

/// Digests asked for in one FindMissingBlobs; keeps the request below 1 MiB.
const FIND_MISSING_DIGESTS: usize = 10_000;
/// Payload of one ByteStream message.
const CHUNK: usize = 256 << 10;
/// Largest message taken; a batch with its framing is far below it.
const MAX_MESSAGE: usize = 16 << 20;

/// The CAS at an endpoint, within one instance, under one digest function.
#[derive(Debug, Clone)]
pub struct RemoteBlobStore {
    channel: Channel,
    endpoint: String,
    instance: String,
    function: DigestFunction,
}

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

impl RemoteBlobStore {
    /// Returns the CAS behind a connection. `endpoint` is what messages call it.
    pub fn new(channel: Channel, endpoint: String, instance: String, function: DigestFunction) -> Self {
        Self { channel, endpoint, instance, function }
    }

    fn cas(&self) -> ContentAddressableStorageClient<Channel> {
        ContentAddressableStorageClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    fn failed(&self, rpc: &'static str) -> impl Fn(Status) -> StoreError + use<> {
        let endpoint = self.endpoint.clone();
        move |status| StoreError::Rpc { rpc, endpoint: endpoint.clone(), source: Box::new(status) }
    }

    fn broken(&self, rpc: &'static str, reason: impl Into<String>) -> StoreError {
        StoreError::Protocol { rpc, endpoint: self.endpoint.clone(), reason: reason.into() }
    }

    /// Sends a request to a method whose answer is one of the messages above.
    async fn ready(&self) -> Result<tonic::client::Grpc<Channel>, StoreError> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        let unready = |error: tonic::transport::Error| self.failed("connect")(Status::unavailable(error.to_string()));
        grpc.ready().await.map_err(unready)?;
        Ok(grpc)
    }

    /// Reads blobs in one call, which together should not exceed `BATCH_BYTES`.
    /// The bytes are as they came: **not verified**. Absent blobs are left out.
    ///
    /// # Errors
    /// When the endpoint fails the call, or one blob for any reason but absence.
    pub async fn read_batch(&self, digests: &[Digest]) -> Result<Vec<(Digest, Bytes)>, StoreError> {
        const RPC: &str = "BatchReadBlobs";
        let path = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs";
        let request = reapi::BatchReadBlobsRequest {
            instance_name: self.instance.clone(),
            digests: digests.iter().map(|digest| (*digest).into()).collect(),
            digest_function: wire::function_number(self.function),
            ..Default::default()
        };
        let codec = tonic_prost::ProstCodec::<reapi::BatchReadBlobsRequest, BatchReadResponse>::default();
        let path = http_path(path);
        let answer = self.ready().await?.unary(Request::new(request), path, codec).await;
        let answer = answer.map_err(self.failed(RPC))?.into_inner();
        let mut blobs = Vec::with_capacity(answer.responses.len());
        for entry in answer.responses {
            let digest = wire::digest(self.function, "responses.digest", entry.digest.as_ref())
                .map_err(|error| self.broken(RPC, error.to_string()))?;
            match entry.status.map_or(tonic::Code::Ok, |status| tonic::Code::from(status.code)) {
                tonic::Code::Ok => blobs.push((digest, entry.data)),
                tonic::Code::NotFound => {}
                code => return Err(self.failed(RPC)(Status::new(code, format!("blob `{digest}`")))),
            }
        }
        Ok(blobs)
    }

    fn resource(&self, digest: &Digest) -> String {
        let instance = if self.instance.is_empty() { String::new() } else { format!("{}/", self.instance) };
        match digest.function() {
            DigestFunction::Sha256 => format!("{instance}blobs/{digest}"),
            DigestFunction::Blake3 => format!("{instance}blobs/blake3/{digest}"),
        }
    }

    /// Reads one blob of any size and hands its pieces to `take`, in order. Returns whether it is there.
    /// The pieces are as they came; at the end the whole is verified, so a caller must not use
    /// what it took before this returns.
    ///
    /// # Errors
    /// When the endpoint fails, `take` does, or the blob is not what the digest names.
    pub async fn read_stream(
        &self,
        digest: &Digest,
        mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        const RPC: &str = "ByteStream.Read";
        let request = bytestream::ReadRequest { resource_name: self.resource(digest), ..Default::default() };
        let codec = tonic_prost::ProstCodec::<bytestream::ReadRequest, ReadResponse>::default();
        let path = http_path("/google.bytestream.ByteStream/Read");
        let answer = self.ready().await?.server_streaming(Request::new(request), path, codec).await;
        let mut stream = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => return Ok(false),
            Err(status) => return Err(self.failed(RPC)(status)),
        };
        let mut hasher = digest.function().hasher();
        while let Some(piece) = stream.next().await {
            let piece = match piece {
                Ok(piece) => piece.data,
                Err(status) if status.code() == tonic::Code::NotFound && hasher.size() == 0 => return Ok(false),
                // It had the blob and found it corrupt while reading: it has it no longer.
                Err(status) if status.code() == tonic::Code::DataLoss => return Ok(false),
                Err(status) => return Err(self.failed(RPC)(status)),
            };
            hasher.update(&piece);
            if hasher.size() > digest.size() {
                return Err(self.broken(RPC, format!("more bytes than blob `{digest}` has")));
            }
            take(&piece)?;
        }
        check_digest(digest, hasher)?;
        Ok(true)
    }

    async fn write_stream(
        &self,
        digest: &Digest,
        reader: impl tokio::io::AsyncRead + Send + Unpin + 'static,
    ) -> Result<(), StoreError> {
        const RPC: &str = "ByteStream.Write";
        let name = self.resource(digest);
        let resource = match name.rsplit_once("blobs/") {
            Some((instance, blob)) => format!("{instance}uploads/{}/blobs/{blob}", uuid::Uuid::new_v4()),
            None => return Err(self.broken(RPC, format!("no upload name for `{name}`"))),
        };
        let requests = write_requests(resource, digest.size(), reader);
        let mut client = bytestream::byte_stream_client::ByteStreamClient::new(self.channel.clone());
        let answer = client.write(requests).await.map_err(self.failed(RPC))?.into_inner();
        if u64::try_from(answer.committed_size) == Ok(digest.size()) {
            return Ok(());
        }
        Err(self.broken(RPC, format!("{} of {} bytes of a blob were committed", answer.committed_size, digest.size())))
    }

    async fn write_batch(&self, blobs: &[(Digest, Bytes)]) -> Result<(), StoreError> {
        const RPC: &str = "BatchUpdateBlobs";
        let requests = blobs
            .iter()
            .map(|(digest, bytes)| batch_update_blobs_request::Request {
                digest: Some((*digest).into()),
                data: bytes.to_vec(),
                ..Default::default()
            })
            .collect();
        let request = reapi::BatchUpdateBlobsRequest {
            instance_name: self.instance.clone(),
            requests,
            digest_function: wire::function_number(self.function),
        };
        let answer = self.cas().batch_update_blobs(request).await.map_err(self.failed(RPC))?.into_inner();
        if answer.responses.len() != blobs.len() {
            return Err(self.broken(RPC, format!("{} answers to {} blobs", answer.responses.len(), blobs.len())));
        }
        for response in answer.responses {
            if let Some(status) = response.status.filter(|status| status.code != 0) {
                return Err(self.failed(RPC)(Status::new(status.code.into(), status.message)));
            }
        }
        Ok(())
    }
}

fn http_path(path: &'static str) -> tonic::codegen::http::uri::PathAndQuery {
    tonic::codegen::http::uri::PathAndQuery::from_static(path)
}

/// Cuts what a reader gives into the messages of a ByteStream write.
fn write_requests(
    resource: String,
    size: u64,
    reader: impl tokio::io::AsyncRead + Send + Unpin + 'static,
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

#[async_trait]
impl BlobStore for RemoteBlobStore {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        const RPC: &str = "FindMissingBlobs";
        let mut seen = HashSet::with_capacity(digests.len());
        let asked: Vec<Digest> = digests.iter().filter(|digest| seen.insert(**digest)).copied().collect();
        let mut missing = HashSet::new();
        for chunk in asked.chunks(FIND_MISSING_DIGESTS) {
            let request = reapi::FindMissingBlobsRequest {
                instance_name: self.instance.clone(),
                blob_digests: chunk.iter().map(|digest| (*digest).into()).collect(),
                digest_function: wire::function_number(self.function),
            };
            let answer = self.cas().find_missing_blobs(request).await.map_err(self.failed(RPC))?.into_inner();
            for digest in &answer.missing_blob_digests {
                let digest = wire::digest(self.function, "missing_blob_digests", Some(digest));
                missing.insert(digest.map_err(|error| self.broken(RPC, error.to_string()))?);
            }
        }
        Ok(asked.into_iter().filter(|digest| missing.contains(digest)).collect())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        if digest.size() <= BATCH_BYTES {
            return Ok(self.get_batch(&[*digest]).await?.remove(digest));
        }
        let mut bytes = Vec::new();
        let take = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        let found = self.read_stream(digest, take).await?;
        Ok(found.then(|| bytes.into()))
    }

    async fn get_batch(&self, digests: &[Digest]) -> Result<HashMap<Digest, Bytes>, StoreError> {
        let mut found = HashMap::with_capacity(digests.len());
        let (small, large): (Vec<Digest>, Vec<Digest>) =
            digests.iter().partition(|digest| digest.size() <= BATCH_BYTES);
        for batch in wire::batches(&small, BATCH_BYTES) {
            for (digest, bytes) in self.read_batch(batch).await? {
                let mut hasher = digest.function().hasher();
                hasher.update(&bytes);
                check_digest(&digest, hasher)?;
                found.insert(digest, bytes);
            }
        }
        for digest in large {
            if let Some(bytes) = self.get(&digest).await? {
                found.insert(digest, bytes);
            }
        }
        Ok(found)
    }

    async fn put_batch(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        let (small, large): (Vec<_>, Vec<_>) = blobs.into_iter().partition(|(digest, _)| digest.size() <= BATCH_BYTES);
        let digests: Vec<Digest> = small.iter().map(|(digest, _)| *digest).collect();
        let mut rest = &small[..];
        for batch in wire::batches(&digests, BATCH_BYTES) {
            let (now, later) = rest.split_at(batch.len());
            self.write_batch(now).await?;
            rest = later;
        }
        for (digest, bytes) in large {
            self.write_stream(&digest, std::io::Cursor::new(bytes)).await?;
        }
        Ok(())
    }

    async fn put_file(&self, digest: &Digest, path: &Path) -> Result<(), StoreError> {
        let file = tokio::fs::File::open(path).await.map_err(StoreError::io("open", path))?;
        self.write_stream(digest, file).await
    }
}
