//! What clients are told about the endpoint, and about one that does not offer the function that they know.

use std::net::SocketAddr;

use envserve::proto::just;
use envserve::proto::just::configuration_client::ConfigurationClient;
use envserve::proto::just::target_client::TargetClient;
use envserve::proto::reapi;
use envserve::proto::reapi::capabilities_server::{Capabilities, CapabilitiesServer};
use envserve::proto::semver::SemVer;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};

use crate::support::{Daemon, World};

/// An endpoint that says what it can, and can nothing else.
struct Blake3Alone;

#[tonic::async_trait]
impl Capabilities for Blake3Alone {
    async fn get_capabilities(
        &self,
        _request: Request<reapi::GetCapabilitiesRequest>,
    ) -> Result<Response<reapi::ServerCapabilities>, Status> {
        let blake3 = reapi::digest_function::Value::Blake3.into();
        let cache = reapi::CacheCapabilities { digest_functions: vec![blake3], ..Default::default() };
        let execution = reapi::ExecutionCapabilities {
            digest_function: blake3,
            digest_functions: vec![blake3],
            exec_enabled: true,
            ..Default::default()
        };
        Ok(Response::new(reapi::ServerCapabilities {
            cache_capabilities: Some(cache),
            execution_capabilities: Some(execution),
            low_api_version: Some(SemVer { major: 2, ..Default::default() }),
            high_api_version: Some(SemVer { major: 2, minor: 3, ..Default::default() }),
            ..Default::default()
        }))
    }
}

async fn endpoint() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = tonic::transport::Server::builder().add_service(CapabilitiesServer::new(Blake3Alone));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_that_an_endpoint_without_their_function_cannot_serve_them() {
    let (world, endpoint) = (World::new(), endpoint().await.to_string());
    let daemon = Daemon::start(&world.path("serve"), &["--remote", &endpoint]);
    let channel = daemon.link().channel();
    let mut client = ConfigurationClient::new(channel.clone());
    let compatible = client.compatibility(just::CompatibilityRequest {}).await.expect("an answer").into_inner();
    assert!(!compatible.compatible);
    let address = client.remote_execution_endpoint(just::RemoteExecutionEndpointRequest {}).await.expect("an answer");
    assert_eq!(address.into_inner().address, format!("\"{endpoint}\""));
    let refused = TargetClient::new(channel).serve_target(just::ServeTargetRequest::default()).await;
    let refused = refused.expect_err("not in SHA-256");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("sha256") && refused.message().contains(&endpoint), "{refused:?}");
}

#[tokio::test]
async fn the_daemon_says_that_it_is_the_endpoint_and_speaks_the_usual_dialect() {
    let world = World::new();
    let daemon = Daemon::start(&world.path("serve"), &["--instance", "main"]);
    let mut client = ConfigurationClient::new(daemon.link().channel());
    let endpoint = client.remote_execution_endpoint(just::RemoteExecutionEndpointRequest {}).await.expect("an answer");
    let endpoint = endpoint.into_inner();
    assert_eq!((&*endpoint.address, &*endpoint.remote_instance_name), ("", "main"));
    assert!(client.compatibility(just::CompatibilityRequest {}).await.expect("an answer").into_inner().compatible);
}
