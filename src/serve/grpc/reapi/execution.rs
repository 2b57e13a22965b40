//! Execution: actions as operations. An action goes on when the client that asked for it goes away.

use tonic::{Request, Response, Status};

use super::{Answers, Reapi, digest};
use crate::execute::ExecuteRequest;
use crate::proto::longrunning::Operation;
use crate::proto::reapi;
use crate::proto::reapi::execution_server::Execution;

#[tonic::async_trait]
impl Execution for Reapi {
    type ExecuteStream = Answers<Operation>;
    type WaitExecutionStream = Answers<Operation>;

    async fn execute(&self, request: Request<reapi::ExecuteRequest>) -> Result<Response<Self::ExecuteStream>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let action = digest(function, "action_digest", request.action_digest.as_ref())?;
        let request = ExecuteRequest { action, skip_cache_lookup: request.skip_cache_lookup };
        let running = self.operations.begin(action);
        let answers = running.follow();
        let execution = self.execution.clone();
        tokio::spawn(async move {
            let outcome = execution.execute(request, &running).await;
            running.finish(outcome);
        });
        Ok(Response::new(answers))
    }

    async fn wait_execution(
        &self,
        request: Request<reapi::WaitExecutionRequest>,
    ) -> Result<Response<Self::WaitExecutionStream>, Status> {
        let name = request.into_inner().name;
        let absent = || {
            let name: String = name.chars().take(100).collect();
            Status::not_found(format!("operation `{name}` is not in flight here; if it has ended, execute again"))
        };
        Ok(Response::new(self.operations.follow(&name).ok_or_else(absent)?))
    }
}
