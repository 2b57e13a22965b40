//! ByteStream: blobs of any size.

use std::io::{self, Read};

use futures::stream;
use tonic::{Request, Response, Status, Streaming};

use super::resource::Resource;
use super::upload::Upload;
use super::{Answers, Reapi, log_stream};
use crate::digest::Digest;
use crate::proto::bytestream;
use crate::proto::bytestream::byte_stream_server::ByteStream;
use crate::serve::status::store_status;
use crate::store::{StoreError, blocking};

/// Payload of one message.
const CHUNK: u64 = 256 << 10;

#[tonic::async_trait]
impl ByteStream for Reapi {
    type ReadStream = Answers<bytestream::ReadResponse>;

    async fn read(&self, request: Request<bytestream::ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let request = request.into_inner();
        if let Some(log) = self.operations.log(&request.resource_name) {
            return Ok(Response::new(log_stream::read(log, request.read_offset, request.read_limit)?));
        }
        let Resource { instance, digest } = Resource::to_read(&request.resource_name)?;
        self.check_instance(&instance)?;
        let (offset, count) = range(&digest, request.read_offset, request.read_limit)?;
        let file = if count == digest.size() { self.open(digest).await? } else { self.open_at(digest, offset).await? };
        let file = file.ok_or_else(|| Status::not_found(format!("blob `{digest}` is not in the CAS")))?;
        Ok(Response::new(Box::pin(pieces(file, digest, count))))
    }

    async fn write(
        &self,
        request: Request<Streaming<bytestream::WriteRequest>>,
    ) -> Result<Response<bytestream::WriteResponse>, Status> {
        let mut requests = request.into_inner();
        let mut piece = requests.message().await?.ok_or_else(|| Status::invalid_argument("the stream was empty"))?;
        let name = piece.resource_name.clone();
        let Resource { instance, digest } = Resource::to_write(&name)?;
        self.check_instance(&instance)?;
        if self.has(digest).await? {
            return Ok(Response::new(committed(&digest)));
        }
        let mut upload = Upload::begin(&self.store, digest, name).await?;
        loop {
            let last = piece.finish_write;
            upload = upload.append(piece).await?;
            if last {
                break;
            }
            let truncated = || {
                let (came, size) = (upload.size(), digest.size());
                Status::invalid_argument(format!("blob `{digest}`: the stream ended after {came} of {size} bytes"))
            };
            piece = requests.message().await?.ok_or_else(truncated)?;
        }
        upload.finish().await?;
        Ok(Response::new(committed(&digest)))
    }

    /// Uploads cannot be resumed in this version: one that is not complete begins again.
    async fn query_write_status(
        &self,
        request: Request<bytestream::QueryWriteStatusRequest>,
    ) -> Result<Response<bytestream::QueryWriteStatusResponse>, Status> {
        let Resource { instance, digest } = Resource::to_write(&request.get_ref().resource_name)?;
        self.check_instance(&instance)?;
        let complete = self.has(digest).await?;
        let committed_size = if complete { committed(&digest).committed_size } else { 0 };
        Ok(Response::new(bytestream::QueryWriteStatusResponse { committed_size, complete }))
    }
}

impl Reapi {
    /// Opens a blob to be read whole, which is verified on the way: its last piece leaves only when all are right.
    async fn open(&self, digest: Digest) -> Result<Option<Box<dyn Read + Send>>, Status> {
        let store = self.store.clone();
        blocking(move || store.open_read(&digest)).await.map_err(|error| store_status(&error))
    }

    /// Opens a blob at an offset, after verifying all of it.
    async fn open_at(&self, digest: Digest, offset: u64) -> Result<Option<Box<dyn Read + Send>>, Status> {
        let store = self.store.clone();
        blocking(move || store.open_at(&digest, offset)).await.map_err(|error| store_status(&error))
    }

    async fn has(&self, digest: Digest) -> Result<bool, Status> {
        let store = self.store.clone();
        blocking(move || store.contains(&digest)).await.map_err(|error| store_status(&error))
    }
}

fn committed(digest: &Digest) -> bytestream::WriteResponse {
    bytestream::WriteResponse { committed_size: i64::try_from(digest.size()).unwrap_or(i64::MAX) }
}

/// Returns the first byte and the number of bytes asked for.
fn range(digest: &Digest, offset: i64, limit: i64) -> Result<(u64, u64), Status> {
    let start = u64::try_from(offset).ok().filter(|start| *start <= digest.size());
    let start = start.ok_or_else(|| {
        Status::out_of_range(format!("read_offset {offset} is not in the {} bytes of the blob", digest.size()))
    })?;
    let rest = digest.size() - start;
    match u64::try_from(limit) {
        Ok(0) => Ok((start, rest)),
        Ok(limit) => Ok((start, rest.min(limit))),
        Err(_) => Err(Status::invalid_argument(format!("read_limit is {limit}"))),
    }
}

/// Streams the next `count` bytes of a blob.
fn pieces(
    file: Box<dyn Read + Send>,
    digest: Digest,
    count: u64,
) -> impl futures::Stream<Item = Result<bytestream::ReadResponse, Status>> + Send {
    stream::try_unfold((file, count), move |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = blocking(move || {
            let mut data = Vec::with_capacity(usize::try_from(left.min(CHUNK)).expect("at most a chunk"));
            (&mut file).take(left.min(CHUNK)).read_to_end(&mut data).map(|_| (file, data))
        });
        let (file, data) = read.await.map_err(|source| read_status(&digest, source))?;
        if data.is_empty() {
            return Err(Status::data_loss(format!("blob `{digest}` became shorter while it was read")));
        }
        let left = left - data.len() as u64;
        Ok(Some((bytestream::ReadResponse { data }, (file, left))))
    })
}

fn read_status(digest: &Digest, source: io::Error) -> Status {
    if source.kind() == io::ErrorKind::InvalidData {
        return Status::data_loss(format!("blob `{digest}` is corrupt and has been removed"));
    }
    store_status(&StoreError::Io { action: "read the blob", path: digest.to_string().into(), source })
}
