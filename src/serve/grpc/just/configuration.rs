//! `Configuration`: where the remote-execution endpoint is, and how it names blobs.

use tonic::{Request, Response, Status};

use super::Just;
use crate::proto::just;
use crate::proto::just::configuration_server::Configuration;
use crate::serve::remote::RemoteError;
use crate::serve::status;

/// Returns an address as just's clients read it: a JSON text, empty for the daemon itself. They say in options of their
/// own whether TLS is spoken.
fn spelled(address: Option<&str>) -> String {
    let bare = |address: &str| address.strip_prefix("grpcs://").unwrap_or(address).to_owned();
    address.map(|address| serde_json::Value::from(bare(address)).to_string()).unwrap_or_default()
}

#[tonic::async_trait]
impl Configuration for Just {
    async fn remote_execution_endpoint(
        &self,
        _request: Request<just::RemoteExecutionEndpointRequest>,
    ) -> Result<Response<just::RemoteExecutionEndpointResponse>, Status> {
        let resolver = self.backend.resolver().await.map_err(|error| status::remote_status(&error))?;
        let endpoint = resolver.endpoint();
        Ok(Response::new(just::RemoteExecutionEndpointResponse {
            address: spelled(endpoint.address.as_deref()),
            remote_instance_name: endpoint.instance.clone(),
        }))
    }

    async fn compatibility(
        &self,
        _request: Request<just::CompatibilityRequest>,
    ) -> Result<Response<just::CompatibilityResponse>, Status> {
        let compatible = match self.backend.compatible().await {
            Ok(_) => true,
            Err(RemoteError::Function { .. }) => false,
            Err(error) => return Err(status::remote_status(&error)),
        };
        Ok(Response::new(just::CompatibilityResponse { compatible }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_json_text_without_a_scheme() {
        let cases = [(Some("h:1"), "\"h:1\""), (Some("grpcs://[::1]:8980"), "\"[::1]:8980\""), (None, "")];
        for (address, expected) in cases {
            assert_eq!(spelled(address), expected);
        }
    }
}
