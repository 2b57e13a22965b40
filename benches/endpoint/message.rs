//! The messages of the client that carry payload, with `Bytes` fields so that it is shared and not copied; a
//! codec of messages that are encoded already; and what an answer must be.

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes};
use envserve::proto::{reapi, rpc};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::client::Unable;
use super::data::Blob;

/// `BatchUpdateBlobsRequest` whose payload is shared.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchUpdate {
    #[prost(string, tag = "1")]
    pub(crate) instance_name: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) requests: Vec<BatchUpdateEntry>,
    #[prost(int32, tag = "5")]
    pub(crate) digest_function: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchUpdateEntry {
    #[prost(message, optional, tag = "1")]
    pub(crate) digest: Option<reapi::Digest>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
}

/// `BatchReadBlobsResponse` whose payload is shared.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchRead {
    #[prost(message, repeated, tag = "1")]
    pub(crate) responses: Vec<BatchReadEntry>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchReadEntry {
    #[prost(message, optional, tag = "1")]
    pub(crate) digest: Option<reapi::Digest>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
    #[prost(message, optional, tag = "3")]
    pub(crate) status: Option<rpc::Status>,
}

/// ByteStream's `WriteRequest` whose payload is shared.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Write {
    #[prost(string, tag = "1")]
    pub(crate) resource_name: String,
    #[prost(int64, tag = "2")]
    pub(crate) write_offset: i64,
    #[prost(bool, tag = "3")]
    pub(crate) finish_write: bool,
    #[prost(bytes = "bytes", tag = "10")]
    pub(crate) data: Bytes,
}

/// ByteStream's `ReadResponse` whose payload is shared.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Read {
    #[prost(bytes = "bytes", tag = "10")]
    pub(crate) data: Bytes,
}

/// A codec of messages that are encoded already.
#[derive(Clone, Copy)]
pub(crate) struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

pub(crate) fn decode<M: Message + Default>(what: &'static str, bytes: Bytes) -> Result<M, Unable> {
    M::decode(bytes).map_err(|error| Unable::wrong(what, error.to_string()))
}

/// Checks that so many blobs are missing.
pub(crate) fn check_missing(answer: Bytes, expected: usize) -> Result<(), Unable> {
    const RPC: &str = "FindMissingBlobs";
    let count = decode::<reapi::FindMissingBlobsResponse>(RPC, answer)?.missing_blob_digests.len();
    if count == expected { Ok(()) } else { Err(Unable::wrong(RPC, format!("{count} missing, not {expected}"))) }
}

/// Checks that all of a batch was stored.
pub(crate) fn check_updated(answer: Bytes, blobs: usize) -> Result<(), Unable> {
    const RPC: &str = "BatchUpdateBlobs";
    let responses = decode::<reapi::BatchUpdateBlobsResponse>(RPC, answer)?.responses;
    let refused = responses.iter().filter_map(|response| response.status.as_ref()).find(|status| status.code != 0);
    match refused {
        Some(status) => Err(Unable::wrong(RPC, status.message.clone())),
        None if responses.len() == blobs => Ok(()),
        None => Err(Unable::wrong(RPC, format!("{} answers for {blobs} blobs", responses.len()))),
    }
}

/// Checks that all of a batch came, in whatever order, with the bytes that were written.
pub(crate) fn check_read(answer: Bytes, blobs: &[Blob]) -> Result<(), Unable> {
    const RPC: &str = "BatchReadBlobs";
    let came: HashMap<String, Bytes> = decode::<BatchRead>(RPC, answer)?
        .responses
        .into_iter()
        .filter_map(|entry| Some((entry.digest?.hash, entry.data)))
        .collect();
    let same = |blob: &Blob| came.get(&blob.digest.hash) == Some(&blob.data);
    if blobs.iter().all(same) { Ok(()) } else { Err(Unable::wrong(RPC, "other bytes came than were written")) }
}
