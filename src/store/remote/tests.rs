//! Endpoints with the quirks of real ones: what they refuse, what they get wrong, where they break off.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use futures::stream::BoxStream;
use hyper_util::rt::TokioIo;
use tonic::transport::{Endpoint, Server, Uri};
use tonic::{Request, Response, Streaming};

use super::*;
use crate::proto::bytestream::byte_stream_server::{ByteStream, ByteStreamServer};
use crate::proto::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};
use crate::proto::reapi::content_addressable_storage_server::{
    ContentAddressableStorage, ContentAddressableStorageServer,
};

const FUNCTION: DigestFunction = DigestFunction::Sha256;

/// What is wrong with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quirk {
    NoBatches,
    /// Batches of more than so many blobs are refused.
    SmallBatches(usize),
    /// A batch answers only its first blob.
    Forgetful,
    /// A stream breaks after so many bytes, the first few times.
    Breaks(usize),
    /// The same, and an offset is not understood.
    BreaksWithoutOffsets(usize),
    /// It gives other bytes.
    Lies,
}

#[derive(Clone)]
struct Quirky {
    quirk: Quirk,
    blobs: Arc<Mutex<HashMap<String, Bytes>>>,
    streams: Arc<AtomicUsize>,
}

impl Quirky {
    fn refuse(&self, blobs: usize) -> Result<(), Status> {
        match self.quirk {
            Quirk::NoBatches => Err(Status::unimplemented("no batches")),
            Quirk::SmallBatches(most) if blobs > most => Err(Status::resource_exhausted("message too large")),
            _ => Ok(()),
        }
    }

    fn blob(&self, hash: &str) -> Option<Bytes> {
        self.blobs.lock().unwrap().get(hash).cloned()
    }
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl ContentAddressableStorage for Quirky {
    type GetChunkMappingStream = Answers<reapi::GetChunkMappingResponse>;
    type GetTreeStream = Answers<reapi::GetTreeResponse>;

    async fn find_missing_blobs(
        &self,
        request: Request<reapi::FindMissingBlobsRequest>,
    ) -> Result<Response<reapi::FindMissingBlobsResponse>, Status> {
        let mut missing_blob_digests = request.into_inner().blob_digests;
        missing_blob_digests.retain(|digest| self.blob(&digest.hash).is_none());
        Ok(Response::new(reapi::FindMissingBlobsResponse { missing_blob_digests }))
    }

    async fn batch_update_blobs(
        &self,
        request: Request<reapi::BatchUpdateBlobsRequest>,
    ) -> Result<Response<reapi::BatchUpdateBlobsResponse>, Status> {
        let requests = request.into_inner().requests;
        self.refuse(requests.len())?;
        let responses = requests.into_iter().map(|request| {
            let hash = request.digest.clone().unwrap().hash;
            self.blobs.lock().unwrap().insert(hash, request.data.into());
            reapi::batch_update_blobs_response::Response { digest: request.digest, status: None }
        });
        Ok(Response::new(reapi::BatchUpdateBlobsResponse { responses: responses.collect() }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<reapi::BatchReadBlobsRequest>,
    ) -> Result<Response<reapi::BatchReadBlobsResponse>, Status> {
        let digests = request.into_inner().digests;
        self.refuse(digests.len())?;
        let most = if self.quirk == Quirk::Forgetful { 1 } else { usize::MAX };
        let responses = digests.into_iter().take(most).map(|digest| {
            let blob = self.blob(&digest.hash);
            let code = if blob.is_some() { 0 } else { Code::NotFound as i32 };
            let mut data = blob.unwrap_or_default().to_vec();
            if self.quirk == Quirk::Lies {
                data.fill(0);
            }
            let status = Some(crate::proto::rpc::Status { code, ..Default::default() });
            reapi::batch_read_blobs_response::Response { digest: Some(digest), data, status, ..Default::default() }
        });
        Ok(Response::new(reapi::BatchReadBlobsResponse { responses: responses.collect() }))
    }

    async fn get_tree(&self, _: Request<reapi::GetTreeRequest>) -> Result<Response<Self::GetTreeStream>, Status> {
        Err(Status::unimplemented("no trees"))
    }

    async fn get_chunk_mapping(
        &self,
        _: Request<reapi::GetChunkMappingRequest>,
    ) -> Result<Response<Self::GetChunkMappingStream>, Status> {
        Err(Status::unimplemented("no chunks"))
    }

    async fn register_chunk_mapping(
        &self,
        _: Request<Streaming<reapi::RegisterChunkMappingRequest>>,
    ) -> Result<Response<reapi::RegisterChunkMappingResponse>, Status> {
        Err(Status::unimplemented("no chunks"))
    }

    async fn split_blob(
        &self,
        _: Request<reapi::SplitBlobRequest>,
    ) -> Result<Response<reapi::SplitBlobResponse>, Status> {
        Err(Status::unimplemented("no chunks"))
    }

    async fn splice_blob(
        &self,
        _: Request<reapi::SpliceBlobRequest>,
    ) -> Result<Response<reapi::SpliceBlobResponse>, Status> {
        Err(Status::unimplemented("no chunks"))
    }
}

#[tonic::async_trait]
impl ByteStream for Quirky {
    type ReadStream = Answers<ReadResponse>;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let request = request.into_inner();
        let number = self.streams.fetch_add(1, Ordering::SeqCst);
        let hash = request.resource_name.split('/').nth_back(1).unwrap().to_owned();
        let blob = self.blob(&hash).ok_or_else(|| Status::not_found("no such blob"))?;
        let offset = usize::try_from(request.read_offset).unwrap();
        let (start, breaks) = match self.quirk {
            Quirk::Breaks(after) => (offset, (number < 3).then_some(after)),
            Quirk::BreaksWithoutOffsets(after) => (0, (number < 1).then_some(after)),
            _ => (offset, None),
        };
        let end = breaks.map_or(blob.len(), |after| (start + after).min(blob.len()));
        let piece = Ok(ReadResponse { data: blob[start..end].to_vec() });
        let broken = (end < blob.len()).then(|| Err(Status::unavailable("gone")));
        Ok(Response::new(Box::pin(futures::stream::iter(std::iter::once(piece).chain(broken)))))
    }

    async fn write(&self, request: Request<Streaming<WriteRequest>>) -> Result<Response<WriteResponse>, Status> {
        let mut stream = request.into_inner();
        let (mut name, mut data) = (String::new(), Vec::new());
        while let Some(message) = stream.message().await? {
            if name.is_empty() {
                name = message.resource_name;
            }
            data.extend(message.data);
        }
        let committed_size = i64::try_from(data.len()).unwrap();
        self.blobs.lock().unwrap().insert(name.split('/').nth_back(1).unwrap().to_owned(), data.into());
        Ok(Response::new(WriteResponse { committed_size }))
    }

    async fn query_write_status(
        &self,
        _: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        Err(Status::unimplemented("no status"))
    }
}

/// Starts an endpoint with a quirk, in this process.
fn endpoint(quirk: Quirk) -> (Quirky, RemoteBlobStore) {
    let quirky = Quirky { quirk, blobs: Arc::default(), streams: Arc::default() };
    let server = quirky.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let server = server.clone();
        async move {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let router = Server::builder()
                .add_service(ContentAddressableStorageServer::new(server.clone()))
                .add_service(ByteStreamServer::new(server));
            let incoming = futures::stream::once(async { Ok::<_, std::io::Error>(theirs) });
            tokio::spawn(router.serve_with_incoming(incoming));
            Ok::<_, std::io::Error>(TokioIo::new(ours))
        }
    });
    let channel = Endpoint::from_static("http://in.process").connect_with_connector_lazy(connector);
    (quirky, RemoteBlobStore::new(Link::over(channel), String::new(), FUNCTION))
}

/// Returns blobs of different contents.
fn blobs(count: u8) -> Vec<(Digest, Bytes)> {
    let blob = |number| Bytes::from((0..1000).flat_map(|at: u16| [number, at.to_le_bytes()[0]]).collect::<Vec<u8>>());
    (0..count).map(blob).map(|bytes| (FUNCTION.digest(&bytes), bytes)).collect()
}

#[tokio::test]
async fn blobs_go_to_and_fro_whatever_the_endpoint_refuses() {
    for quirk in [
        Quirk::NoBatches,
        Quirk::SmallBatches(3),
        Quirk::SmallBatches(0),
        Quirk::Forgetful,
        Quirk::Breaks(700),
        Quirk::BreaksWithoutOffsets(700),
    ] {
        let (_, store) = endpoint(quirk);
        let blobs = blobs(20);
        let absent = FUNCTION.digest(b"absent");
        store.put_batch(blobs.clone()).await.unwrap();
        let mut asked: Vec<Digest> = blobs.iter().map(|(digest, _)| *digest).collect();
        asked.push(absent);
        assert_eq!(store.find_missing(&asked).await.unwrap(), [absent], "{quirk:?}");
        assert_eq!(store.get_batch(&asked).await.unwrap(), blobs.into_iter().collect(), "{quirk:?}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_where_it_broke() {
    let (quirky, store) = endpoint(Quirk::Breaks(700));
    let (digest, bytes) = blobs(1).remove(0);
    store.put_batch(vec![(digest, bytes.clone())]).await.unwrap();
    let mut read = Vec::new();
    assert!(store.read_stream(&digest, &mut read).await.unwrap());
    assert_eq!((read, quirky.streams.load(Ordering::SeqCst)), (bytes.to_vec(), 3), "700, 700 and 600 bytes");
}

#[tokio::test]
async fn a_stream_that_cannot_go_on_begins_anew() {
    let (quirky, store) = endpoint(Quirk::BreaksWithoutOffsets(700));
    let (digest, bytes) = blobs(1).remove(0);
    store.put_batch(vec![(digest, bytes.clone())]).await.unwrap();
    let mut read = Vec::new();
    assert!(store.read_stream(&digest, &mut read).await.unwrap());
    assert_eq!((read, quirky.streams.load(Ordering::SeqCst)), (bytes.to_vec(), 3), "broken, misfit, whole");
}

#[tokio::test]
async fn other_bytes_are_an_error_and_not_an_absence() {
    let (_, store) = endpoint(Quirk::Lies);
    let (digest, bytes) = blobs(1).remove(0);
    store.put_batch(vec![(digest, bytes)]).await.unwrap();
    assert!(matches!(store.get(&digest).await, Err(StoreError::Mismatch { expected, .. }) if expected == digest));
}

#[tokio::test]
async fn that_there_are_no_batches_is_learned_once() {
    let (quirky, store) = endpoint(Quirk::NoBatches);
    store.put_batch(blobs(2)).await.unwrap();
    assert!(store.no_batches.load(Ordering::Relaxed));
    store.get_batch(&blobs(2).iter().map(|(digest, _)| *digest).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(quirky.streams.load(Ordering::SeqCst), 2);
}
