//! The REAPI services of the embedded endpoint, a file each.
//!
//! Adapters: they decode, call the store, the action cache or the executor,
//! and encode. What a client can get wrong is refused here or in
//! `resource.rs`, which reads the names of ByteStream.

mod action_cache;
mod answer;
mod batch;
mod byte_stream;
mod capabilities;
mod cas;
mod compression;
mod download;
mod execution;
mod incoming;
mod inline;
mod log_stream;
mod longrunning;
pub(crate) mod messages;
mod operations;
#[doc(hidden)]
pub mod properties;
mod resource;
mod sink;
mod splitting;
#[cfg(test)]
mod tests;
mod tree;
mod upload;

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::service::RoutesBuilder;

use crate::digest::{Digest, DigestFunction};
use crate::execute::Execution;
use crate::proto::longrunning::operations_server::OperationsServer;
use crate::proto::reapi;
use crate::proto::reapi::action_cache_server::ActionCacheServer;
use crate::proto::reapi::capabilities_server::CapabilitiesServer;
use crate::proto::reapi::execution_server::ExecutionServer;
use crate::serve::status::wire_status;
use crate::store::{ActionCache, LocalBlobStore, wire};

use messages::services::byte_stream_server::ByteStreamServer;
use messages::services::content_addressable_storage_server::ContentAddressableStorageServer;
use operations::Operations;
use upload::Uploads;

/// Largest message taken.
const MAX_MESSAGE: usize = 16 << 20;
/// Calls at a time that read or write whole large blobs by themselves: SplitBlob and SpliceBlob.
const MAX_HEAVY: usize = 4;

/// What a streaming call answers with.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The REAPI services over one store.
#[derive(Clone)]
pub struct Reapi {
    store: LocalBlobStore,
    actions: Arc<dyn ActionCache>,
    execution: Arc<dyn Execution>,
    operations: Operations,
    uploads: Uploads,
    /// Turns of the calls that are much work.
    heavy: Arc<Semaphore>,
    instance: Arc<str>,
}

impl Reapi {
    /// Returns the services. Only requests to the named instance are answered.
    pub fn new(
        store: LocalBlobStore,
        actions: Arc<dyn ActionCache>,
        execution: Arc<dyn Execution>,
        instance: String,
    ) -> Self {
        let (operations, uploads) = (Operations::new(&instance), Uploads::default());
        let heavy = Arc::new(Semaphore::new(MAX_HEAVY));
        Self { store, actions, execution, operations, uploads, heavy, instance: instance.into() }
    }

    /// Adds the services to a router.
    pub fn add_to(self, routes: &mut RoutesBuilder) {
        routes
            .add_service(CapabilitiesServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE))
            .add_service(ContentAddressableStorageServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE))
            .add_service(ByteStreamServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE))
            .add_service(ActionCacheServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE))
            .add_service(ExecutionServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE))
            .add_service(OperationsServer::new(self).max_decoding_message_size(MAX_MESSAGE));
    }

    /// Refuses requests to other instances.
    fn check_instance(&self, name: &str) -> Result<(), Status> {
        if *name == *self.instance {
            tracing::Span::current().record("instance", name);
            return Ok(());
        }
        let asked: String = name.chars().take(100).collect();
        Err(Status::invalid_argument(format!("instance `{asked}` is not served here; `{}` is", self.instance)))
    }

    /// Checks the instance and returns the digest function of a request.
    fn function(&self, instance: &str, number: i32) -> Result<DigestFunction, Status> {
        self.check_instance(instance)?;
        wire::function(number).map_err(|error| wire_status(&error))
    }
}

fn digest(function: DigestFunction, field: &'static str, message: Option<&reapi::Digest>) -> Result<Digest, Status> {
    wire::digest(function, field, message).map_err(|error| wire_status(&error))
}
