//! Execution: actions as operations.

use std::sync::Arc;

use prost::Message;
use tonic::{Request, Response, Status};

use super::answer::{killed, response};
use super::inline::{Inline, inline};
use super::longrunning::unknown;
use super::{Answers, Reapi, digest};
use crate::digest::Digest;
use crate::execute::ExecuteRequest;
use crate::proto::longrunning::Operation;
use crate::proto::reapi;
use crate::proto::reapi::execution_server::Execution;
use crate::serve::Peer;
use crate::serve::admission::Rights;
use crate::serve::requests::metadata;
use crate::serve::status::store_status;
use crate::store::BlobStore;

/// Longest id of a client that is taken.
const MAX_ID: usize = 128;

#[tonic::async_trait]
impl Execution for Reapi {
    type ExecuteStream = Answers<Operation>;
    type WaitExecutionStream = Answers<Operation>;

    async fn execute(&self, request: Request<reapi::ExecuteRequest>) -> Result<Response<Self::ExecuteStream>, Status> {
        let (client, checkpoints) = (client(&request), Rights::of(&request).checkpoints);
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let action = digest(function, "action_digest", request.action_digest.as_ref())?;
        let joinable = !request.skip_cache_lookup && self.may_be_joined(&action).await?;
        let (answers, running) = self.operations.begin(action, joinable);
        let Some(running) = running else { return Ok(Response::new(answers)) };
        let (stdout, stderr) = (request.inline_stdout, request.inline_stderr);
        let wanted = Inline { stdout, stderr, files: request.inline_output_files };
        let priority = request.execution_policy.map_or(0, |policy| policy.priority);
        let skip_cache_lookup = request.skip_cache_lookup;
        let request = ExecuteRequest { action, skip_cache_lookup, client, priority, checkpoints };
        let (store, execution) = (self.store.clone(), self.execution.clone());
        tokio::spawn(async move {
            let outcome = tokio::select! {
                outcome = execution.execute(request, &running) => Ok(outcome),
                why = running.killed() => Err(why),
            };
            let mut response = outcome.map_or_else(killed, response);
            if let Some(result) = &mut response.result {
                // What cannot be read is fetched by its digest, and the reason told then.
                drop(inline(&store, function, &wanted, result).await);
            }
            running.finish(&response);
        });
        Ok(Response::new(answers))
    }

    async fn wait_execution(
        &self,
        request: Request<reapi::WaitExecutionRequest>,
    ) -> Result<Response<Self::WaitExecutionStream>, Status> {
        let name = request.into_inner().name;
        Ok(Response::new(self.operations.follow(&name).ok_or_else(|| unknown(&name))?))
    }
}

impl Reapi {
    /// Says whether an action allows that others share its run. What is no action fails when it is run.
    async fn may_be_joined(&self, digest: &Digest) -> Result<bool, Status> {
        const MAX_ACTION: u64 = 1 << 20;
        if digest.size() > MAX_ACTION {
            return Ok(false);
        }
        let bytes = self.store.get(digest).await.map_err(|error| store_status(&error))?;
        Ok(bytes.and_then(|bytes| reapi::Action::decode(bytes).ok()).is_some_and(|action| !action.do_not_cache))
    }
}

/// Returns who asks: the invocation of a tool if the client says so, else its address.
fn client<T>(request: &Request<T>) -> Arc<str> {
    let id = metadata(request.metadata().as_ref()).map(|said| said.tool_invocation_id);
    let sane = |id: &String| !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
    match id.filter(sane) {
        Some(id) => id.into(),
        None => request.extensions().get::<Peer>().map_or_else(|| "".into(), |peer| Arc::clone(&peer.name)),
    }
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;
    use crate::serve::requests::METADATA;

    #[test]
    fn a_client_is_its_invocation_or_else_its_connection() {
        let asked = |id: &str| {
            let mut request = Request::new(());
            let said = reapi::RequestMetadata { tool_invocation_id: id.to_owned(), ..Default::default() };
            request.metadata_mut().insert_bin(METADATA, MetadataValue::from_bytes(&said.encode_to_vec()));
            request.extensions_mut().insert(Peer { name: "127.0.0.1:1".into(), local: false, role: None });
            client(&request)
        };
        assert_eq!(&*asked("build-1"), "build-1");
        for id in ["", "a b", "\n", &"x".repeat(MAX_ID + 1)] {
            assert_eq!(&*asked(id), "127.0.0.1:1", "{id}");
        }
        let mut garbage = Request::new(());
        garbage.metadata_mut().insert_bin(METADATA, MetadataValue::from_bytes(b"\xff\xff"));
        assert_eq!(&*client(&garbage), "");
    }
}
