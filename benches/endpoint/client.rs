//! The client of the measurement, the same for every server.
//!
//! It must not be what is measured: calls take and give encoded messages, so that they are made before the
//! clock starts and read after it has stopped, and payload is not copied more often than the transport does.

use bytes::Bytes;
use envserve::proto::bytestream;
use envserve::proto::longrunning::{Operation, operation};
use envserve::proto::reapi::{self, execution_client::ExecutionClient};
use envserve::transport::{Channel, Endpoint, Link, Security};
use prost::Message;
use tonic::{Code, Request, Status};

use super::data::Blob;
use super::message::{BatchUpdate, BatchUpdateEntry, Encoded, Read, Write, decode};

/// Largest message taken.
const MAX_MESSAGE: usize = 64 << 20;
const CAS: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage";
const ACTION_CACHE: &str = "/build.bazel.remote.execution.v2.ActionCache";
const SHA256: i32 = reapi::digest_function::Value::Sha256 as i32;

/// Why there is no number.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Unable {
    /// The server does not have it.
    #[error("{0} is not offered")]
    NotOffered(&'static str),
    /// It has, and failed.
    #[error("{what} failed: {reason}")]
    Failed {
        /// The call.
        what: &'static str,
        /// What was said, or what is wrong with the answer.
        reason: String,
    },
}

impl Unable {
    /// An answer that cannot be right.
    pub(crate) fn wrong(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Failed { what, reason: reason.into() }
    }

    fn status(what: &'static str) -> impl Fn(Status) -> Self {
        move |status| match status.code() {
            Code::Unimplemented => Self::NotOffered(what),
            code => Self::Failed { what, reason: format!("{code:?}: {}", status.message()) },
        }
    }
}

/// A call that waits for its clock: path and encoded message.
#[derive(Clone)]
pub(crate) struct Call {
    what: &'static str,
    path: String,
    message: Bytes,
}

impl Call {
    fn new(service: &str, what: &'static str, message: &impl Message) -> Self {
        Self { what, path: format!("{service}/{what}"), message: message.encode_to_vec().into() }
    }
}

/// One connection to one instance of a server.
#[derive(Clone)]
pub(crate) struct Client {
    channel: Channel,
    instance: String,
}

impl Client {
    pub(crate) fn connect(address: &str, instance: &str) -> Result<Self, Unable> {
        let failed = |reason: String| Unable::Failed { what: "connect", reason };
        let endpoint = address.parse::<Endpoint>().map_err(|error| failed(error.to_string()))?;
        let channel = Link::new(&endpoint, &Security::default()).map_err(|error| failed(error.to_string()))?.channel();
        Ok(Self { channel, instance: instance.to_owned() })
    }

    /// Sends a call and returns the encoded answer.
    pub(crate) async fn send(&self, call: Call) -> Result<Bytes, Unable> {
        let failed = Unable::status(call.what);
        let mut grpc = self.grpc(call.what).await?;
        let path = call.path.parse().expect("paths of gRPC are plain");
        Ok(grpc.unary(Request::new(call.message), path, Encoded).await.map_err(failed)?.into_inner())
    }

    async fn grpc(&self, what: &'static str) -> Result<tonic::client::Grpc<Channel>, Unable> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        grpc.ready().await.map_err(|error| Unable::wrong(what, error.to_string()))?;
        Ok(grpc)
    }

    pub(crate) async fn capabilities(&self) -> Result<reapi::ServerCapabilities, Unable> {
        let message = reapi::GetCapabilitiesRequest { instance_name: self.instance.clone() };
        let service = "/build.bazel.remote.execution.v2.Capabilities";
        let answer = self.send(Call::new(service, "GetCapabilities", &message)).await?;
        decode("GetCapabilities", answer)
    }

    pub(crate) fn find_missing(&self, digests: impl IntoIterator<Item = reapi::Digest>) -> Call {
        let message = reapi::FindMissingBlobsRequest {
            instance_name: self.instance.clone(),
            blob_digests: digests.into_iter().collect(),
            digest_function: SHA256,
        };
        Call::new(CAS, "FindMissingBlobs", &message)
    }

    pub(crate) fn update(&self, blobs: &[Blob]) -> Call {
        let entry = |blob: &Blob| BatchUpdateEntry { digest: Some(blob.digest.clone()), data: blob.data.clone() };
        let message = BatchUpdate {
            instance_name: self.instance.clone(),
            requests: blobs.iter().map(entry).collect(),
            digest_function: SHA256,
        };
        Call::new(CAS, "BatchUpdateBlobs", &message)
    }

    pub(crate) fn read(&self, blobs: &[Blob]) -> Call {
        let message = reapi::BatchReadBlobsRequest {
            instance_name: self.instance.clone(),
            digests: blobs.iter().map(|blob| blob.digest.clone()).collect(),
            digest_function: SHA256,
            ..Default::default()
        };
        Call::new(CAS, "BatchReadBlobs", &message)
    }

    pub(crate) fn get_result(&self, action: &reapi::Digest) -> Call {
        let message = reapi::GetActionResultRequest {
            instance_name: self.instance.clone(),
            action_digest: Some(action.clone()),
            digest_function: SHA256,
            ..Default::default()
        };
        Call::new(ACTION_CACHE, "GetActionResult", &message)
    }

    pub(crate) fn update_result(&self, action: &reapi::Digest, result: reapi::ActionResult) -> Call {
        let message = reapi::UpdateActionResultRequest {
            instance_name: self.instance.clone(),
            action_digest: Some(action.clone()),
            action_result: Some(result),
            digest_function: SHA256,
            ..Default::default()
        };
        Call::new(ACTION_CACHE, "UpdateActionResult", &message)
    }

    /// Writes a blob by ByteStream; `path` is what stands between the upload's id and the end of its name.
    pub(crate) async fn write(&self, path: &str, pieces: &[Bytes]) -> Result<i64, Unable> {
        let name = format!("{}uploads/{}/{path}", self.prefix(), uuid::Uuid::new_v4());
        let last = pieces.len() - 1;
        let mut offset = 0;
        let messages: Vec<Write> = pieces
            .iter()
            .enumerate()
            .map(|(at, piece)| {
                let resource_name = if at == 0 { name.clone() } else { String::new() };
                let message =
                    Write { resource_name, write_offset: offset, finish_write: at == last, data: piece.clone() };
                offset += i64::try_from(piece.len()).expect("a piece");
                message
            })
            .collect();
        let codec = tonic_prost::ProstCodec::<Write, bytestream::WriteResponse>::default();
        let path = "/google.bytestream.ByteStream/Write".parse().expect("plain");
        let request = Request::new(tokio_stream::iter(messages));
        let answer = self.grpc("Write").await?.client_streaming(request, path, codec).await;
        Ok(answer.map_err(Unable::status("Write"))?.into_inner().committed_size)
    }

    /// Reads a blob by ByteStream; every piece is handed to `take`, which says whether it is right.
    pub(crate) async fn read_stream(&self, path: &str, mut take: impl FnMut(Bytes) -> bool) -> Result<(), Unable> {
        let resource_name = format!("{}{path}", self.prefix());
        let request = Request::new(bytestream::ReadRequest { resource_name, ..Default::default() });
        let codec = tonic_prost::ProstCodec::<bytestream::ReadRequest, Read>::default();
        let path = "/google.bytestream.ByteStream/Read".parse().expect("plain");
        let answer = self.grpc("Read").await?.server_streaming(request, path, codec).await;
        let mut stream = answer.map_err(Unable::status("Read"))?.into_inner();
        while let Some(message) = stream.message().await.map_err(Unable::status("Read"))? {
            if !take(message.data) {
                return Err(Unable::wrong("Read", "other bytes came than were written"));
            }
        }
        Ok(())
    }

    fn prefix(&self) -> String {
        if self.instance.is_empty() { String::new() } else { format!("{}/", self.instance) }
    }

    /// Executes an action and waits for its end.
    pub(crate) async fn execute(&self, action: reapi::Digest) -> Result<reapi::ExecuteResponse, Unable> {
        const RPC: &str = "Execute";
        let request = reapi::ExecuteRequest {
            instance_name: self.instance.clone(),
            action_digest: Some(action),
            digest_function: SHA256,
            ..Default::default()
        };
        let mut client = ExecutionClient::new(self.channel.clone());
        let mut stream = client.execute(request).await.map_err(Unable::status(RPC))?.into_inner();
        while let Some(operation) = stream.message().await.map_err(Unable::status(RPC))? {
            if operation.done {
                return outcome(operation);
            }
        }
        Err(Unable::wrong(RPC, "the stream ended before the action"))
    }
}

fn outcome(operation: Operation) -> Result<reapi::ExecuteResponse, Unable> {
    match operation.result {
        Some(operation::Result::Response(any)) => decode("Execute", any.value.into()),
        Some(operation::Result::Error(status)) => Err(Unable::wrong("Execute", status.message)),
        None => Err(Unable::wrong("Execute", "the operation ended without a result")),
    }
}
