//! Capabilities: what this endpoint does for whoever asks. Nothing is announced that is not done.

use tonic::{Request, Response, Status};

use super::Reapi;
use super::batch::MAX_BATCH_BYTES;
use super::compression::Compressor;
use crate::digest::DigestFunction;
use crate::proto::reapi::capabilities_server::Capabilities;
use crate::proto::{reapi, semver};
use crate::serve::admission::Rights;
use crate::serve::roles::Role;
use crate::store::AVERAGE_CHUNK;
use crate::store::wire::function_number;

#[tonic::async_trait]
impl Capabilities for Reapi {
    async fn get_capabilities(
        &self,
        request: Request<reapi::GetCapabilitiesRequest>,
    ) -> Result<Response<reapi::ServerCapabilities>, Status> {
        self.check_instance(&request.get_ref().instance_name)?;
        let role = Rights::of(&request).role;
        let functions = DigestFunction::ALL.map(function_number).to_vec();
        Ok(Response::new(reapi::ServerCapabilities {
            cache_capabilities: Some(reapi::CacheCapabilities {
                digest_functions: functions.clone(),
                action_cache_update_capabilities: Some(reapi::ActionCacheUpdateCapabilities {
                    update_enabled: role >= Role::Admin,
                }),
                max_batch_total_size_bytes: i64::try_from(MAX_BATCH_BYTES).expect("a few MiB"),
                symlink_absolute_path_strategy: reapi::symlink_absolute_path_strategy::Value::Allowed as i32,
                supported_compressors: vec![Compressor::Zstd.number()],
                supported_batch_update_compressors: vec![Compressor::Zstd.number()],
                // The disk is the limit, and a blob that does not fit is refused when it comes.
                max_cas_blob_size_bytes: 0,
                split_blob_support: true,
                splice_blob_support: true,
                fast_cdc_2020_params: Some(reapi::FastCdc2020Params {
                    avg_chunk_size_bytes: AVERAGE_CHUNK.into(),
                    seed: 0,
                }),
                rep_max_cdc_params: None,
                // Nothing is kept longer or shorter for a priority.
                cache_priority_capabilities: None,
            }),
            execution_capabilities: Some(reapi::ExecutionCapabilities {
                digest_function: function_number(DigestFunction::Sha256),
                digest_functions: functions,
                exec_enabled: role >= Role::Builder,
                ..Default::default()
            }),
            low_api_version: Some(version(2, 0)),
            high_api_version: Some(version(2, 12)),
            deprecated_api_version: None,
        }))
    }
}

fn version(major: i32, minor: i32) -> semver::SemVer {
    semver::SemVer { major, minor, ..Default::default() }
}
