//! The actions that run for clients of the REAPI, as `longrunning` operations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream;
use prost::Message;
use tokio::sync::watch;
use tonic::Status;

use super::Answers;
use crate::digest::Digest;
use crate::execute::{ExecuteError, Executed, ExecutionEvents, Stage};
use crate::proto::longrunning::{Operation, operation};
use crate::proto::{protobuf, reapi, rpc};
use crate::serve::status::execute_status;
use crate::store::wire::function_number;

const PACKAGE: &str = "type.googleapis.com/build.bazel.remote.execution.v2";

/// The operations in flight in this process.
#[derive(Clone, Default)]
pub(super) struct Operations {
    running: Arc<Mutex<HashMap<String, watch::Receiver<Operation>>>>,
}

impl Operations {
    /// Begins an operation, which is in flight until what is returned is dropped.
    pub(super) fn begin(&self, action: Digest) -> Running {
        let name = format!("operations/{}", uuid::Uuid::new_v4());
        let (sender, receiver) = watch::channel(operation(&name, &action, reapi::execution_stage::Value::Unknown));
        self.running().insert(name.clone(), receiver);
        Running { operations: self.clone(), name, action, sender }
    }

    /// Follows an operation from where it is to its end.
    pub(super) fn follow(&self, name: &str) -> Option<Answers<Operation>> {
        self.running().get(name).cloned().map(follow)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Operation>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An operation in flight, from the side of the action.
pub(super) struct Running {
    operations: Operations,
    name: String,
    action: Digest,
    sender: watch::Sender<Operation>,
}

impl Running {
    /// Follows it from its beginning.
    pub(super) fn follow(&self) -> Answers<Operation> {
        follow(self.sender.subscribe())
    }

    /// Ends it.
    pub(super) fn finish(self, outcome: Result<Executed, ExecuteError>) {
        let response = any("ExecuteResponse", &response(outcome));
        let mut done = operation(&self.name, &self.action, reapi::execution_stage::Value::Completed);
        done.done = true;
        done.result = Some(operation::Result::Response(response));
        self.sender.send_replace(done);
    }
}

impl ExecutionEvents for Running {
    fn stage(&self, stage: Stage) {
        let stage = match stage {
            Stage::CacheCheck => reapi::execution_stage::Value::CacheCheck,
            Stage::Queued => reapi::execution_stage::Value::Queued,
            Stage::Executing => reapi::execution_stage::Value::Executing,
            Stage::Completed => reapi::execution_stage::Value::Completed,
        };
        self.sender.send_replace(operation(&self.name, &self.action, stage));
    }

    fn log(&self, _: &str) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        self.operations.running().remove(&self.name);
    }
}

fn operation(name: &str, action: &Digest, stage: reapi::execution_stage::Value) -> Operation {
    let metadata = reapi::ExecuteOperationMetadata {
        stage: stage.into(),
        action_digest: Some((*action).into()),
        digest_function: function_number(action.function()),
        ..Default::default()
    };
    let metadata = any("ExecuteOperationMetadata", &metadata);
    Operation { name: name.to_owned(), metadata: Some(metadata), done: false, result: None }
}

fn any(message: &str, value: &impl Message) -> protobuf::Any {
    protobuf::Any { type_url: format!("{PACKAGE}.{message}"), value: value.encode_to_vec() }
}

fn response(outcome: Result<Executed, ExecuteError>) -> reapi::ExecuteResponse {
    let error = match outcome {
        Ok(Executed { result, cached }) => {
            return reapi::ExecuteResponse {
                result: Some(result),
                cached_result: cached,
                status: Some(rpc::Status::default()),
                ..Default::default()
            };
        }
        Err(error) => error,
    };
    let status = Some(with_details(&execute_status(&error)));
    let result = if let ExecuteError::Timeout { result, .. } = error { Some(*result) } else { None };
    reapi::ExecuteResponse { result, status, ..Default::default() }
}

/// Returns a status as a message. Its details, where there are some, are that message already.
fn with_details(status: &Status) -> rpc::Status {
    match rpc::Status::decode(status.details()) {
        Ok(whole) if whole.code != 0 => whole,
        _ => rpc::Status { code: status.code().into(), message: status.message().to_owned(), details: Vec::new() },
    }
}

/// Streams what becomes of an operation: where it is, then changes, of which it may skip some, then its end.
fn follow(receiver: watch::Receiver<Operation>) -> Answers<Operation> {
    Box::pin(stream::unfold(Some((receiver, true)), |state| async move {
        let (mut receiver, first) = state?;
        if !first && receiver.changed().await.is_err() {
            return Some((Err(Status::internal("the action ended without an answer")), None));
        }
        let now = receiver.borrow_and_update().clone();
        let next = (!now.done).then_some((receiver, false));
        Some((Ok(now), next))
    }))
}
