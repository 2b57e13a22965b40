//! ByteStream: blobs of any size.

use bytes::Bytes;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use super::compression::Compressor;
use super::download::{Part, download};
use super::incoming::{Gathered, Incoming, Next};
use super::messages::services::byte_stream_server::ByteStream;
use super::messages::{ReadResponse, WriteRequest};
use super::resource::Resource;
use super::sink::Sink;
use super::{Answers, Reapi, log_stream};
use crate::digest::Digest;
use crate::proto::bytestream;
use crate::serve::status::store_status;
use crate::store::blocking;

#[tonic::async_trait]
impl ByteStream for Reapi {
    type ReadStream = Answers<ReadResponse>;

    async fn read(&self, request: Request<bytestream::ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let request = request.into_inner();
        if let Some(log) = self.operations.log(&request.resource_name) {
            return Ok(Response::new(log_stream::read(log, request.read_offset, request.read_limit)?));
        }
        let Resource { instance, digest, compressor } = Resource::to_read(&request.resource_name)?;
        self.check_instance(&instance)?;
        if compressor == Compressor::Zstd && request.read_limit != 0 {
            return Err(Status::invalid_argument("a compressed blob cannot be read with a read_limit"));
        }
        let (offset, count) = range(&digest, request.read_offset, request.read_limit)?;
        let answers = download(&self.store, Part { digest, offset, count, compressor }).await?;
        let absent = || Status::not_found(format!("blob `{digest}` is not in the CAS"));
        answers.map(Response::new).ok_or_else(absent)
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<bytestream::WriteResponse>, Status> {
        let incoming = Incoming::begin(request.into_inner()).await?;
        let Resource { instance, digest, compressor } = Resource::to_write(incoming.name())?;
        self.check_instance(&instance)?;
        if self.has(digest).await? {
            let committed_size = match compressor {
                Compressor::Identity => committed(digest.size()),
                // Another client may have compressed it in another way.
                Compressor::Zstd => -1,
            };
            return Ok(Response::new(bytestream::WriteResponse { committed_size }));
        }
        let sink = match compressor {
            Compressor::Identity => {
                Sink::Plain(self.uploads.open(&self.store, incoming.name(), digest, incoming.offset()).await?)
            }
            Compressor::Zstd if incoming.offset() == 0 => Sink::unpack(&self.store, digest).await?,
            Compressor::Zstd => {
                let offset = incoming.offset();
                let reason = format!("blob `{digest}`: write_offset is {offset}, and a compressed upload begins at 0");
                return Err(Status::invalid_argument(reason));
            }
        };
        let committed_size = take(incoming, digest, sink).await?;
        Ok(Response::new(bytestream::WriteResponse { committed_size }))
    }

    async fn query_write_status(
        &self,
        request: Request<bytestream::QueryWriteStatusRequest>,
    ) -> Result<Response<bytestream::QueryWriteStatusResponse>, Status> {
        let name = &request.get_ref().resource_name;
        let Resource { instance, digest, .. } = Resource::to_write(name)?;
        self.check_instance(&instance)?;
        let complete = self.has(digest).await?;
        let size = if complete { Some(digest.size()) } else { self.uploads.committed(name) };
        let unknown = || Status::not_found("nothing of this upload has come, or it was given up: begin at 0");
        let committed_size = committed(size.ok_or_else(unknown)?);
        Ok(Response::new(bytestream::QueryWriteStatusResponse { committed_size, complete }))
    }
}

impl Reapi {
    async fn has(&self, digest: Digest) -> Result<bool, Status> {
        let store = self.store.clone();
        blocking(move || store.contains(&digest)).await.map_err(|error| store_status(&error))
    }
}

/// Takes a blob: what has come is written while the next comes. Returns how far it got, as bytes that came.
async fn take(mut incoming: Incoming, digest: Digest, sink: Sink) -> Result<i64, Status> {
    // How many compressed bytes will come nobody knows; the sink sees to it what they stand for.
    let limit = if matches!(sink, Sink::Plain(_)) { digest.size() } else { u64::MAX };
    let mut sink = Writing::Done(sink);
    loop {
        let Gathered { pieces, next } = incoming.gather(&digest, limit).await;
        let ready = sink.done().await?;
        match next {
            Next::More => sink = Writing::begin(ready, pieces),
            Next::Finish => break ready.append(pieces).await?.finish().await?,
            Next::Stop => {
                let ready = ready.append(pieces).await?;
                // All bytes are there, or what came compressed has to be: nothing of that can be kept.
                if committed(digest.size()) == incoming.offset() || matches!(ready, Sink::Zstd(_)) {
                    ready.finish().await?;
                }
                break;
            }
            Next::Broken(status) => {
                ready.append(pieces).await?;
                return Err(status);
            }
            Next::Wrong(status) => {
                ready.discard();
                return Err(status);
            }
        }
    }
    Ok(incoming.offset())
}

/// A sink that may be at work.
enum Writing {
    Done(Sink),
    Working(tokio::task::JoinHandle<Result<Sink, Status>>),
}

impl Writing {
    fn begin(sink: Sink, pieces: Vec<Bytes>) -> Self {
        Self::Working(tokio::spawn(sink.append(pieces).in_current_span()))
    }

    async fn done(self) -> Result<Sink, Status> {
        match self {
            Self::Done(sink) => Ok(sink),
            Self::Working(task) => task.await.map_err(|_| Status::internal("writing the blob was broken off"))?,
        }
    }
}

fn committed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
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
