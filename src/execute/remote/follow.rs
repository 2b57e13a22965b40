//! One action at the endpoint, from the request to its end, over as many connections as that takes.

use std::time::Duration;

use prost::Message;
use tonic::{Code, Status, Streaming};

use super::super::capture::Lines;
use super::super::{ExecuteError, ExecuteRequest, ExecutionEvents, Stage};
use super::RemoteExecution;
use super::logs::Logs;
use crate::proto::longrunning::Operation;
use crate::proto::longrunning::operation::Result as Ended;
use crate::proto::reapi;
use crate::proto::reapi::execution_client::ExecutionClient;
use crate::proto::reapi::execution_stage::Value;
use crate::store::{StoreError, wire};
use crate::transport::{Backoff, CallError};

/// An action may take as long as it does; whether the endpoint lives is seen otherwise.
const NO_DEADLINE: Duration = Duration::from_secs(365 * 86_400);
/// How often the thread is taken up again when a connection brought nothing new.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What one connection came to.
enum Followed {
    /// The end.
    Done(Box<reapi::ExecuteResponse>),
    /// The endpoint does not know the operation any more.
    Forgotten,
    /// The connection broke.
    Broken(StoreError),
}

impl RemoteExecution {
    /// Has an action executed and returns what the endpoint says in the end.
    pub(super) async fn follow(
        &self,
        request: &ExecuteRequest,
        events: &dyn ExecutionEvents,
    ) -> Result<reapi::ExecuteResponse, ExecuteError> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let (mut name, mut fruitless) = (None, 0);
        loop {
            let known = name.clone();
            let followed = tokio::select! {
                followed = self.follow_once(request, &mut name, events) => followed?,
                error = self.link.gone() => return Err(StoreError::from(error).into()),
            };
            match followed {
                Followed::Done(response) => return Ok(*response),
                Followed::Forgotten => name = None,
                Followed::Broken(error) => {
                    fruitless = if known == name { fruitless + 1 } else { 1 };
                    if fruitless >= ATTEMPTS {
                        return Err(error.into());
                    }
                    tracing::debug!(%error, operation = name, "lost sight of an operation");
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    async fn follow_once(
        &self,
        request: &ExecuteRequest,
        name: &mut Option<String>,
        events: &dyn ExecutionEvents,
    ) -> Result<Followed, ExecuteError> {
        let opened = match name {
            Some(name) => self.wait(name).await,
            None => self.start(request).await,
        };
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(CallError::Failed { status, .. })
                if name.is_some() && matches!(status.code(), Code::NotFound | Code::Unimplemented) =>
            {
                return Ok(Followed::Forgotten);
            }
            Err(CallError::Failed { status, .. }) => return Ok(Followed::Done(Box::new(response_of(&status)))),
            Err(unreachable) => return Err(StoreError::from(unreachable).into()),
        };
        let mut logs = Logs::new(self.link.clone());
        let mut lines = [Lines::default(), Lines::default()];
        loop {
            let message = tokio::select! {
                message = stream.message() => message,
                Some((log, bytes)) = logs.next() => {
                    lines[log].push(&bytes, events);
                    continue;
                }
            };
            let operation = match message {
                Ok(Some(operation)) => operation,
                Ok(None) => {
                    let reason = "the stream ended before the action did".to_owned();
                    let endpoint = self.link.endpoint().to_string();
                    return Ok(Followed::Broken(StoreError::Protocol { rpc: "Execute", endpoint, reason }));
                }
                Err(status) => return Ok(Followed::Broken(self.refused(status))),
            };
            if !operation.name.is_empty() {
                *name = Some(operation.name.clone());
            }
            tell(&operation, &mut logs, events);
            if let Some(response) = response(operation) {
                return Ok(Followed::Done(Box::new(response)));
            }
        }
    }

    async fn start(&self, request: &ExecuteRequest) -> Result<Streaming<Operation>, CallError> {
        let message = reapi::ExecuteRequest {
            instance_name: self.instance.clone(),
            skip_cache_lookup: request.skip_cache_lookup,
            action_digest: Some(request.action.into()),
            execution_policy: Some(reapi::ExecutionPolicy { priority: request.priority }),
            digest_function: wire::function_number(request.action.function()),
            inline_stdout: true,
            inline_stderr: true,
            ..Default::default()
        };
        let call = |channel| {
            let message = message.clone();
            async move { ExecutionClient::new(channel).execute(message).await }
        };
        Ok(self.link.call("Execute", NO_DEADLINE, call).await?.into_inner())
    }

    async fn wait(&self, name: &str) -> Result<Streaming<Operation>, CallError> {
        let message = reapi::WaitExecutionRequest { name: name.to_owned() };
        let call = |channel| {
            let message = message.clone();
            async move { ExecutionClient::new(channel).wait_execution(message).await }
        };
        Ok(self.link.call("WaitExecution", NO_DEADLINE, call).await?.into_inner())
    }
}

/// Passes on how far an operation has come, and has its logs read as soon as it names them.
fn tell(operation: &Operation, logs: &mut Logs, events: &dyn ExecutionEvents) {
    let Some(metadata) = &operation.metadata else { return };
    let Ok(metadata) = reapi::ExecuteOperationMetadata::decode(&*metadata.value) else { return };
    match Value::try_from(metadata.stage) {
        Ok(Value::CacheCheck) => events.stage(Stage::CacheCheck),
        Ok(Value::Queued) => events.stage(Stage::Queued),
        Ok(Value::Executing) => events.stage(Stage::Executing),
        Ok(Value::Completed) => events.stage(Stage::Completed),
        Ok(Value::Unknown) | Err(_) => {}
    }
    logs.open([&metadata.stdout_stream_name, &metadata.stderr_stream_name]);
}

/// Returns what an operation ended with; `None` while it goes on.
fn response(operation: Operation) -> Option<reapi::ExecuteResponse> {
    match operation.result {
        Some(Ended::Response(any)) => Some(reapi::ExecuteResponse::decode(&*any.value).unwrap_or_else(|error| {
            response_of(&Status::internal(format!("the response of the operation cannot be read: {error}")))
        })),
        Some(Ended::Error(status)) => Some(reapi::ExecuteResponse { status: Some(status), ..Default::default() }),
        None if operation.done => Some(response_of(&Status::internal("the operation ended without a response"))),
        None => None,
    }
}

/// Returns the response that says the same as an error of the call itself.
fn response_of(status: &Status) -> reapi::ExecuteResponse {
    reapi::ExecuteResponse { status: Some(wire::status_message(status)), ..Default::default() }
}
