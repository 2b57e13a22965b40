//! Capabilities: what this endpoint can do. Nothing is announced that is not done.

use tonic::{Request, Response, Status};

use super::{MAX_BATCH_BYTES, Reapi};
use crate::digest::DigestFunction;
use crate::proto::reapi::capabilities_server::Capabilities;
use crate::proto::{reapi, semver};
use crate::store::wire::function_number;

#[tonic::async_trait]
impl Capabilities for Reapi {
    async fn get_capabilities(
        &self,
        request: Request<reapi::GetCapabilitiesRequest>,
    ) -> Result<Response<reapi::ServerCapabilities>, Status> {
        self.check_instance(&request.get_ref().instance_name)?;
        let functions = DigestFunction::ALL.map(function_number).to_vec();
        Ok(Response::new(reapi::ServerCapabilities {
            cache_capabilities: Some(reapi::CacheCapabilities {
                digest_functions: functions.clone(),
                action_cache_update_capabilities: Some(reapi::ActionCacheUpdateCapabilities { update_enabled: true }),
                max_batch_total_size_bytes: i64::try_from(MAX_BATCH_BYTES).expect("a few MiB"),
                symlink_absolute_path_strategy: reapi::symlink_absolute_path_strategy::Value::Allowed as i32,
                ..Default::default()
            }),
            execution_capabilities: Some(reapi::ExecutionCapabilities {
                digest_function: function_number(DigestFunction::Sha256),
                digest_functions: functions,
                exec_enabled: true,
                ..Default::default()
            }),
            low_api_version: Some(version(2, 0)),
            high_api_version: Some(version(2, 3)),
            deprecated_api_version: None,
        }))
    }
}

fn version(major: i32, minor: i32) -> semver::SemVer {
    semver::SemVer { major, minor, ..Default::default() }
}
