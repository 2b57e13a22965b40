//! What an action comes to, as the messages of an operation.

use bytes::Bytes;
use prost::Message;
use tonic::Status;

use crate::digest::DigestFunction;
use crate::execute::{ExecuteError, Executed};
use crate::proto::longrunning::{Operation, operation::Result as Outcome};
use crate::proto::{protobuf, reapi, rpc};
use crate::serve::status::execute_status;
use crate::store::{BlobStore, LocalBlobStore, wire};

const PACKAGE: &str = "type.googleapis.com/build.bazel.remote.execution.v2";
/// Most bytes that are put into one result.
const MAX_INLINE: u64 = 1 << 20;

/// What a client would like to have in the result itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Inline {
    /// stdout.
    pub(super) stdout: bool,
    /// stderr.
    pub(super) stderr: bool,
    /// The contents of these files.
    pub(super) files: Vec<String>,
}

impl Inline {
    /// Puts the blobs into a result, as far as they are small.
    pub(super) async fn fill(
        &self,
        store: &LocalBlobStore,
        function: DigestFunction,
        result: &mut reapi::ActionResult,
    ) {
        let mut left = MAX_INLINE;
        if self.stdout {
            result.stdout_raw = blob(store, function, result.stdout_digest.as_ref(), &mut left).await;
        }
        if self.stderr {
            result.stderr_raw = blob(store, function, result.stderr_digest.as_ref(), &mut left).await;
        }
        for file in result.output_files.iter_mut().filter(|file| self.files.contains(&file.path)) {
            file.contents = blob(store, function, file.digest.as_ref(), &mut left).await;
        }
    }
}

/// Returns a blob if there is room for it; nobody relies on that, so a failure is the same.
async fn blob(
    store: &LocalBlobStore,
    function: DigestFunction,
    message: Option<&reapi::Digest>,
    left: &mut u64,
) -> Vec<u8> {
    let Ok(digest) = wire::digest(function, "digest", message) else { return Vec::new() };
    let Some(rest) = left.checked_sub(digest.size()) else { return Vec::new() };
    let bytes: Bytes = store.get(&digest).await.ok().flatten().unwrap_or_default();
    if !bytes.is_empty() {
        *left = rest;
    }
    bytes.into()
}

/// Returns an operation that goes on.
pub(super) fn operation(name: &str, metadata: &reapi::ExecuteOperationMetadata) -> Operation {
    let metadata = any("ExecuteOperationMetadata", metadata);
    Operation { name: name.to_owned(), metadata: Some(metadata), done: false, result: None }
}

/// Returns an operation that has ended.
pub(super) fn done(
    name: &str,
    metadata: &reapi::ExecuteOperationMetadata,
    response: &reapi::ExecuteResponse,
) -> Operation {
    let response = Outcome::Response(any("ExecuteResponse", response));
    Operation { done: true, result: Some(response), ..operation(name, metadata) }
}

fn any(message: &str, value: &impl Message) -> protobuf::Any {
    protobuf::Any { type_url: format!("{PACKAGE}.{message}"), value: value.encode_to_vec() }
}

/// Returns what became of an action.
pub(super) fn response(outcome: Result<Executed, ExecuteError>) -> reapi::ExecuteResponse {
    let error = match outcome {
        Ok(Executed { result, cached }) => {
            return reapi::ExecuteResponse {
                message: message(&result),
                result: Some(result),
                cached_result: cached,
                status: Some(rpc::Status::default()),
                ..Default::default()
            };
        }
        Err(error) => error,
    };
    let status = with_details(&execute_status(&error));
    let result = if let ExecuteError::Timeout { result, .. } = error { Some(*result) } else { None };
    reapi::ExecuteResponse { result, message: status.message.clone(), status: Some(status), ..Default::default() }
}

/// Returns what to tell the user of an action that has failed.
fn message(result: &reapi::ActionResult) -> String {
    let worker = result.execution_metadata.as_ref().map_or("", |metadata| metadata.worker.as_str());
    match result.exit_code {
        0 => String::new(),
        code => format!("the command ended with exit code {code} on worker `{worker}`"),
    }
}

/// Returns the response of an action that nobody waited for any more.
pub(super) fn abandoned() -> reapi::ExecuteResponse {
    let status = Status::cancelled("killed: no client has followed the operation for a while");
    reapi::ExecuteResponse { status: Some(with_details(&status)), ..Default::default() }
}

/// Returns the response of an action that ended without an answer, by a panic say.
pub(super) fn lost() -> reapi::ExecuteResponse {
    let status = Status::internal("the action ended without an answer");
    reapi::ExecuteResponse { status: Some(with_details(&status)), ..Default::default() }
}

/// Returns a status as a message. Its details, where there are some, are that message already.
fn with_details(status: &Status) -> rpc::Status {
    match rpc::Status::decode(status.details()) {
        Ok(whole) if whole.code != 0 => whole,
        _ => rpc::Status { code: status.code().into(), message: status.message().to_owned(), details: Vec::new() },
    }
}
