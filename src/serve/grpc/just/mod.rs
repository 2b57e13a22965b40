//! The serve protocol of `just` and `just-mr`: `Target`, `SourceTree`, `Configuration`.
//!
//! Adapters over what the native protocol uses as well. These clients know SHA-256 alone, so everything is answered by
//! the resolver that works in it.

mod configuration;
mod key;
mod outcome;
mod source_tree;
mod target;
mod value;

use tonic::Status;

use crate::digest::Digest;
use crate::proto::just::configuration_server::ConfigurationServer;
use crate::proto::just::source_tree_server::SourceTreeServer;
use crate::proto::just::target_server::TargetServer;
use crate::proto::reapi;
use crate::serve::backend::Backend;
use crate::serve::remote::RemoteError;
use crate::serve::resolve::Resolver;
use crate::serve::status;
use crate::spec::{GitId, RelativePath};
use crate::store::wire;

/// Largest request taken, and largest key or description.
const MAX_REQUEST: usize = 4 << 20;

/// The three services of a daemon.
#[derive(Clone)]
pub(crate) struct Just {
    backend: Backend,
}

impl Just {
    /// Returns the services.
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend }
    }

    /// Adds the services to a router.
    pub(crate) fn add_to(self, routes: &mut tonic::service::RoutesBuilder) {
        routes
            .add_service(TargetServer::new(self.clone()).max_decoding_message_size(MAX_REQUEST))
            .add_service(SourceTreeServer::new(self.clone()).max_decoding_message_size(MAX_REQUEST))
            .add_service(ConfigurationServer::new(self).max_decoding_message_size(MAX_REQUEST));
    }

    async fn resolver(&self) -> Result<&Resolver, Status> {
        self.backend.compatible().await.map_err(|error| match error {
            RemoteError::Function { .. } => Status::failed_precondition(format!(
                "{error}; clients of just can be served over an endpoint that offers sha256 only"
            )),
            RemoteError::Store(_) | RemoteError::NoExecution { .. } => status::remote_status(&error),
        })
    }
}

fn digest(resolver: &Resolver, field: &'static str, message: Option<&reapi::Digest>) -> Result<Digest, Status> {
    wire::digest(resolver.function(), field, message).map_err(|error| status::wire_status(&error))
}

fn git_id(field: &str, text: &str) -> Result<GitId, Status> {
    GitId::parse(text).map_err(|error| Status::invalid_argument(format!("field `{field}`: {error}")))
}

fn path(field: &str, text: &str) -> Result<RelativePath, Status> {
    RelativePath::parse(text).map_err(|error| Status::invalid_argument(format!("field `{field}`: {error}")))
}
