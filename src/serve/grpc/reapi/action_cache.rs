//! ActionCache: results that are whole, and nothing else.

use tonic::{Request, Response, Status};

use super::inline::{Inline, Inlined, inline};
use super::{Reapi, digest};
use crate::execute::{cached_result, missing_outputs};
use crate::proto::reapi;
use crate::proto::reapi::action_cache_server::ActionCache;
use crate::serve::status::{execute_status, missing, store_status};

#[tonic::async_trait]
impl ActionCache for Reapi {
    /// A result that has lost an output is not there.
    async fn get_action_result(
        &self,
        request: Request<reapi::GetActionResultRequest>,
    ) -> Result<Response<reapi::ActionResult>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let action = digest(function, "action_digest", request.action_digest.as_ref())?;
        let found = cached_result(&self.store, &*self.actions, &action).await;
        let absent = || Status::not_found(format!("there is no whole result of action `{action}`"));
        let mut result = found.map_err(|error| execute_status(&error))?.ok_or_else(absent)?;
        let wanted =
            Inline { stdout: request.inline_stdout, stderr: request.inline_stderr, files: request.inline_output_files };
        let inlined = inline(&self.store, function, &wanted, &mut result).await;
        match inlined.map_err(|error| store_status(&error))? {
            Inlined::Done => Ok(Response::new(result)),
            // Found corrupt just now.
            Inlined::Lost => Err(absent()),
        }
    }

    /// The key need not name an action: clients use digests of anything.
    async fn update_action_result(
        &self,
        request: Request<reapi::UpdateActionResultRequest>,
    ) -> Result<Response<reapi::ActionResult>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let action = digest(function, "action_digest", request.action_digest.as_ref())?;
        let result =
            request.action_result.ok_or_else(|| Status::invalid_argument("field `action_result` is missing"))?;
        let absent = missing_outputs(&self.store, function, &result).await.map_err(|error| execute_status(&error))?;
        if !absent.is_empty() {
            return Err(missing("outputs of the result are not in the CAS", &absent));
        }
        self.actions.put(&action, &result).await.map_err(|error| store_status(&error))?;
        Ok(Response::new(result))
    }
}
