//! What an endpoint can.

use std::time::Duration;

use tonic::Code;

use crate::digest::DigestFunction;
use crate::proto::reapi;
use crate::proto::reapi::capabilities_client::CapabilitiesClient;
use crate::store::{StoreError, wire};
use crate::transport::{CallError, Link};

const RPC: &str = "GetCapabilities";
/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// What an endpoint says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Functions of digests, of those known here.
    pub functions: Vec<DigestFunction>,
    /// Most bytes of blobs in one batch; 0 when it gives no limit.
    pub batch_bytes: u64,
    /// Whether it says that clients may write its action cache.
    pub action_cache_updates: bool,
    /// Whether it executes actions.
    pub execution: bool,
    /// The newest version of the API that it speaks: major and minor number.
    pub newest: (i32, i32),
}

impl Default for Capabilities {
    /// What is taken for granted of an endpoint that does not say.
    fn default() -> Self {
        Self {
            functions: vec![DigestFunction::Sha256],
            batch_bytes: 0,
            action_cache_updates: true,
            execution: true,
            newest: (2, 0),
        }
    }
}

impl Capabilities {
    /// Asks an endpoint.
    ///
    /// # Errors
    /// When it does not answer, or what it says cannot be used.
    pub async fn ask(link: &Link, instance: &str) -> Result<Self, StoreError> {
        let request = reapi::GetCapabilitiesRequest { instance_name: instance.to_owned() };
        let ask = |channel| {
            let request = request.clone();
            async move { CapabilitiesClient::new(channel).get_capabilities(request).await }
        };
        match link.call(RPC, DEADLINE, ask).await {
            Ok(answer) => Ok(Self::read(&answer.into_inner())),
            Err(CallError::Failed { status, .. }) if status.code() == Code::Unimplemented => {
                tracing::warn!(endpoint = %link.endpoint(), "the endpoint does not say what it can: assuming the least");
                Ok(Self::default())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn read(message: &reapi::ServerCapabilities) -> Self {
        let cache = message.cache_capabilities.clone().unwrap_or_default();
        let execution = message.execution_capabilities.clone().unwrap_or_default();
        let known = |numbers: &[i32]| -> Vec<DigestFunction> {
            numbers.iter().filter(|number| **number != 0).filter_map(|number| wire::function(*number).ok()).collect()
        };
        let mut functions = known(&cache.digest_functions);
        if functions.is_empty() {
            functions.push(DigestFunction::Sha256);
        }
        if execution.exec_enabled {
            let mut executed = known(&execution.digest_functions);
            executed.extend(known(&[execution.digest_function]));
            functions.retain(|function| executed.is_empty() || executed.contains(function));
        }
        Self {
            functions,
            batch_bytes: u64::try_from(cache.max_batch_total_size_bytes).unwrap_or(0),
            action_cache_updates: cache.action_cache_update_capabilities.is_some_and(|update| update.update_enabled),
            execution: execution.exec_enabled,
            newest: message.high_api_version.as_ref().map_or((2, 0), |version| (version.major, version.minor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(cas: &[i32], executor: Option<(i32, &[i32])>) -> reapi::ServerCapabilities {
        reapi::ServerCapabilities {
            cache_capabilities: Some(reapi::CacheCapabilities { digest_functions: cas.to_vec(), ..Default::default() }),
            execution_capabilities: executor.map(|(one, more)| reapi::ExecutionCapabilities {
                exec_enabled: true,
                digest_function: one,
                digest_functions: more.to_vec(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn functions_are_those_that_cas_and_executor_share() {
        use DigestFunction::{Blake3, Sha256};
        for (cas, executor, expected) in [
            (&[1, 9][..], None, vec![Sha256, Blake3]),
            (&[1, 9], Some((1, &[][..])), vec![Sha256]),
            (&[1, 9], Some((1, &[1, 9])), vec![Sha256, Blake3]),
            (&[2, 77, 1], Some((0, &[])), vec![Sha256]),
            (&[], None, vec![Sha256]),
        ] {
            assert_eq!(Capabilities::read(&message(cas, executor)).functions, expected, "{cas:?} {executor:?}");
        }
    }

    #[test]
    fn an_empty_answer_promises_nothing() {
        let read = Capabilities::read(&reapi::ServerCapabilities::default());
        assert_eq!(
            (read.batch_bytes, read.action_cache_updates, read.execution, read.newest),
            (0, false, false, (2, 0))
        );
    }
}
