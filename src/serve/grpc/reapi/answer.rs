//! What an action comes to, as the messages of an operation.

use prost::Message;
use tonic::Status;

use super::operations::Killed;
use crate::execute::{ExecuteError, Executed};
use crate::proto::longrunning::{Operation, operation::Result as Outcome};
use crate::proto::{protobuf, reapi, rpc};
use crate::serve::status::execute_status;
use crate::store::wire::status_message;

const PACKAGE: &str = "type.googleapis.com/build.bazel.remote.execution.v2";

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
    let status = status_message(&execute_status(&error));
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

/// Returns the response of an action that was killed.
pub(super) fn killed(why: Killed) -> reapi::ExecuteResponse {
    let status = Status::cancelled(match why {
        Killed::Cancelled => "killed: a client has cancelled the operation",
        Killed::Abandoned => "killed: no client has followed the operation for a while",
    });
    reapi::ExecuteResponse { status: Some(status_message(&status)), ..Default::default() }
}

/// Returns the response of an action that ended without an answer, by a panic say.
pub(super) fn lost() -> reapi::ExecuteResponse {
    let status = Status::internal("the action ended without an answer");
    reapi::ExecuteResponse { status: Some(status_message(&status)), ..Default::default() }
}
