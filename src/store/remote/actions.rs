//! The action cache of a REAPI endpoint.

use std::time::Duration;

use async_trait::async_trait;
use tonic::Code;

use crate::digest::Digest;
use crate::proto::reapi;
use crate::proto::reapi::action_cache_client::ActionCacheClient;
use crate::store::{ActionCache, StoreError, wire};
use crate::transport::{CallError, Link};

/// Longest wait for an answer. Servers that check whether a result is whole take their time.
const DEADLINE: Duration = Duration::from_secs(30);

/// The action cache at an endpoint, within one instance.
#[derive(Debug, Clone)]
pub struct RemoteActionCache {
    link: Link,
    instance: String,
}

impl RemoteActionCache {
    /// Returns the action cache behind a connection.
    pub fn new(link: Link, instance: String) -> Self {
        Self { link, instance }
    }
}

#[async_trait]
impl ActionCache for RemoteActionCache {
    async fn get(&self, action: &Digest) -> Result<Option<reapi::ActionResult>, StoreError> {
        let request = reapi::GetActionResultRequest {
            instance_name: self.instance.clone(),
            action_digest: Some((*action).into()),
            digest_function: wire::function_number(action.function()),
            inline_stdout: true,
            ..Default::default()
        };
        let ask = |channel| {
            let request = request.clone();
            async move { ActionCacheClient::new(channel).get_action_result(request).await }
        };
        match self.link.call("GetActionResult", DEADLINE, ask).await {
            Ok(answer) => Ok(Some(answer.into_inner())),
            Err(CallError::Failed { status, .. }) if status.code() == Code::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn put(&self, action: &Digest, result: &reapi::ActionResult) -> Result<(), StoreError> {
        let request = reapi::UpdateActionResultRequest {
            instance_name: self.instance.clone(),
            action_digest: Some((*action).into()),
            action_result: Some(result.clone()),
            digest_function: wire::function_number(action.function()),
            ..Default::default()
        };
        let update = |channel| {
            let request = request.clone();
            async move { ActionCacheClient::new(channel).update_action_result(request).await }
        };
        self.link.call("UpdateActionResult", DEADLINE, update).await?;
        Ok(())
    }
}
