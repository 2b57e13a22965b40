//! Operations: actions in flight, by name.

use std::time::Duration;

use futures::StreamExt;
use tonic::{Request, Response, Status};

use super::Reapi;
use crate::proto::longrunning::operations_server::Operations;
use crate::proto::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest, ListOperationsResponse,
    Operation, WaitOperationRequest,
};
use crate::proto::protobuf::Empty;

/// Longest wait for an operation, and that of a client which names none.
const MAX_WAIT: Duration = Duration::from_secs(3600);

#[tonic::async_trait]
impl Operations for Reapi {
    async fn get_operation(&self, request: Request<GetOperationRequest>) -> Result<Response<Operation>, Status> {
        let name = request.into_inner().name;
        self.operations.get(&name).map(Response::new).ok_or_else(|| unknown(&name))
    }

    /// Waits for the end of the operation, or for the time given, and tells where it is then.
    async fn wait_operation(&self, request: Request<WaitOperationRequest>) -> Result<Response<Operation>, Status> {
        let WaitOperationRequest { name, timeout } = request.into_inner();
        let wait = timeout
            .map_or(MAX_WAIT, |timeout| Duration::from_secs(u64::try_from(timeout.seconds).unwrap_or(0)).min(MAX_WAIT));
        let mut news = self.operations.follow(&name).ok_or_else(|| unknown(&name))?;
        let end = async { while news.next().await.is_some() {} };
        // When the time is over, the answer is where the operation is.
        drop(tokio::time::timeout(wait, end).await);
        self.operations.get(&name).map(Response::new).ok_or_else(|| unknown(&name))
    }

    /// Kills the action, for all clients that follow it.
    async fn cancel_operation(&self, request: Request<CancelOperationRequest>) -> Result<Response<Empty>, Status> {
        let name = request.into_inner().name;
        if self.operations.cancel(&name) { Ok(Response::new(Empty {})) } else { Err(unknown(&name)) }
    }

    async fn list_operations(
        &self,
        _: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        Err(Status::unimplemented("operations are not listed: a name is known to the clients of its action"))
    }

    async fn delete_operation(&self, _: Request<DeleteOperationRequest>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("operations are not deleted: each is forgotten some time after its end"))
    }
}

/// Returns the status of an operation that is not known, or not any more.
pub(super) fn unknown(name: &str) -> Status {
    let name: String = name.chars().take(100).collect();
    Status::not_found(format!("operation `{name}` is not known here; if it has ended, execute again"))
}
