//! The services as clients see them, over an in-process connection.

mod batches;
mod blobs;
mod compressed;
mod execution;
mod properties;
mod results;
mod resumption;
mod splitting;
mod streams;
mod trees;

use std::sync::Arc;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tonic::Status;
use tonic::service::RoutesBuilder;
use tonic::transport::{Channel, Endpoint, Server, Uri};

use super::Reapi;
use crate::digest::{Digest, DigestFunction};
use crate::execute::fixture::Fixture;
use crate::proto::bytestream::byte_stream_client::ByteStreamClient;
use crate::proto::reapi::action_cache_client::ActionCacheClient;
use crate::proto::reapi::capabilities_client::CapabilitiesClient;
use crate::proto::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use crate::proto::reapi::execution_client::ExecutionClient;
use crate::store::RemoteBlobStore;
use crate::transport::Link;

const INSTANCE: &str = "main";

/// A server over a fresh store, and a connection to it.
struct Served {
    fixture: Fixture,
    channel: Channel,
}

impl Served {
    fn start() -> Self {
        let fixture = Fixture::new();
        let execution = Arc::new(fixture.execution.clone());
        let reapi = Reapi::new(fixture.store.clone(), fixture.actions.clone(), execution, INSTANCE.to_owned());
        let mut routes = RoutesBuilder::default();
        reapi.add_to(&mut routes);
        let (client, server) = tokio::io::duplex(64 << 10);
        let connections = tokio_stream::once(Ok::<_, std::io::Error>(server));
        tokio::spawn(Server::builder().add_routes(routes.routes()).serve_with_incoming(connections));
        let mut client = Some(TokioIo::new(client));
        let connector = tower::service_fn(move |_: Uri| {
            let client = client.take().ok_or_else(|| std::io::Error::other("there is one connection"));
            async move { client }
        });
        let channel = Endpoint::from_static("http://in.process").connect_with_connector_lazy(connector);
        Self { fixture, channel }
    }

    fn remote(&self, function: DigestFunction) -> RemoteBlobStore {
        RemoteBlobStore::new(Link::over(self.channel.clone()), INSTANCE.into(), function)
    }

    fn cas(&self) -> ContentAddressableStorageClient<Channel> {
        ContentAddressableStorageClient::new(self.channel.clone())
    }

    fn byte_stream(&self) -> ByteStreamClient<Channel> {
        ByteStreamClient::new(self.channel.clone())
    }

    fn action_cache(&self) -> ActionCacheClient<Channel> {
        ActionCacheClient::new(self.channel.clone())
    }

    fn execution(&self) -> ExecutionClient<Channel> {
        ExecutionClient::new(self.channel.clone())
    }

    fn capabilities(&self) -> CapabilitiesClient<Channel> {
        CapabilitiesClient::new(self.channel.clone())
    }
}

/// Bytes that no two pieces of have in common.
fn noise(size: usize) -> Bytes {
    (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect()
}

/// Bytes that no compressor makes smaller, the same each time.
fn random(size: usize) -> Bytes {
    let mut state = 1_u64;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..size).map(step).collect()
}

fn lied(digest: &Digest, size: u64) -> Digest {
    Digest::parse(digest.function(), &digest.hash(), size).unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: tonic::Code, text: &str) {
    let status = answer.expect_err("it must be refused");
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().contains(text), "`{text}` is not in `{}`", status.message());
}

#[tokio::test]
async fn the_remote_store_conforms() {
    crate::store::tests::conforms(&Served::start().remote(DigestFunction::Blake3)).await;
}
