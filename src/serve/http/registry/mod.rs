//! The registry: images that lie in the CAS, served by the OCI distribution protocol at `/v2/`, and what was pushed.
//!
//! Nothing is kept for the images of environments but tables: manifests and configurations lie in their trees, and
//! layers are made while they are sent.

mod address;
mod blobs;
mod error;
mod find;
mod layers;
mod manifests;
mod push;
mod sessions;
mod tags;
#[cfg(test)]
mod tests;
mod uploads;

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::digest::Digest;
use crate::serve::ServeError;
use crate::serve::admission::Rights;
use crate::serve::backend::Backend;
use crate::store::blocking;

use address::Address;
use error::RegistryError;
use layers::Lists;
use sessions::Sessions;

/// Layers that are compressed at a time to see what comes out.
const COMPRESSED_AT_ONCE: usize = 2;
/// The header by which clients know a registry.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0"));

/// How a daemon is a registry.
#[derive(Debug, Clone, Copy, Default)]
pub struct RegistryOptions {
    /// Whether clients may push images.
    pub push: bool,
}

/// The registry of a daemon.
pub(crate) struct Registry {
    backend: Backend,
    /// Where files lie that are too large for memory, and what is being uploaded.
    scratch: Arc<Path>,
    uploads: Option<Sessions>,
    compressing: Semaphore,
    lists: Lists,
    /// Trees of images that were found whole, and until when that is taken for granted.
    checked: Mutex<HashMap<Digest, Instant>>,
}

impl Registry {
    /// Opens the registry of a daemon with this root, where no other is at work.
    ///
    /// # Errors
    /// When there is no place for what is being uploaded.
    pub(in crate::serve) async fn open(
        root: &Path,
        backend: Backend,
        options: &RegistryOptions,
    ) -> Result<Self, ServeError> {
        let path = root.join("registry-tmp");
        let scratch: Arc<Path> = path.clone().into();
        let emptied = blocking(move || super::empty_directory(&path).map_err(|source| (path, source))).await;
        emptied.map_err(|(path, source)| ServeError::Registry { path, source })?;
        tracing::info!(push = options.push, "the registry of images is at /v2/");
        Ok(Self {
            backend,
            uploads: options.push.then(|| Sessions::new(Arc::clone(&scratch))),
            scratch,
            compressing: Semaphore::new(COMPRESSED_AT_ONCE),
            lists: Lists::default(),
            checked: Mutex::default(),
        })
    }

    fn checked(&self) -> MutexGuard<'_, HashMap<Digest, Instant>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the routes of a registry.
pub(super) fn routes(registry: Registry) -> Router {
    let routes = ["/v2", "/v2/", "/v2/{*path}"];
    let router = routes.into_iter().fold(Router::new(), |router, route| router.route(route, any(answer)));
    router.with_state(Arc::new(registry))
}

async fn answer(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    let answered = Box::pin(route(&registry, request)).await;
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    let (name, value) = VERSION;
    response.headers_mut().insert(name, value);
    response
}

async fn route(registry: &Arc<Registry>, request: Request) -> Result<Response, RegistryError> {
    let (head, body) = request.into_parts();
    let (headers, query) = (&head.headers, head.uri.query());
    let path = head.uri.path().strip_prefix("/v2/").unwrap_or_default();
    let address = Address::parse(path)?;
    if matches!(head.method, Method::GET | Method::HEAD) && !matches!(address, Address::Upload { .. }) {
        let read = read(registry, &address, &head).await;
        return match read {
            Err(error) if error.is_lost() => {
                tracing::warn!(error = &error as &dyn Error, "every image is checked anew");
                registry.doubt_all().await?;
                self::read(registry, &address, &head).await
            }
            read => read,
        };
    }
    match (address, head.method.clone()) {
        (Address::Manifest { name, reference }, Method::PUT) => {
            push::manifest(registry, name, reference, headers, body).await
        }
        (Address::Uploads { name }, Method::POST) => uploads::begin(registry, name, &head, body).await,
        (Address::Upload { name, id }, method) => {
            uploads::go_on(registry, name, id, &method, query, headers, body).await
        }
        (Address::Base | Address::Tags { .. } | Address::Blob { .. }, _) => {
            Err(RegistryError::Method { allowed: "GET, HEAD" })
        }
        (Address::Manifest { .. }, _) => Err(RegistryError::Method { allowed: "GET, HEAD, PUT" }),
        (Address::Uploads { .. }, _) => Err(RegistryError::Method { allowed: "POST" }),
    }
}

/// Returns a document of the registry's own.
fn document(value: &Value) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], value.to_string())
}

/// Answers a request that changes nothing.
async fn read(registry: &Arc<Registry>, address: &Address<'_>, head: &Parts) -> Result<Response, RegistryError> {
    match *address {
        Address::Base => Ok(document(&json!({})).into_response()),
        Address::Tags { name } => tags::answer(registry, name, head.uri.query()).await,
        Address::Manifest { name, reference } => {
            let rights = Rights::among(head.extensions.get());
            manifests::answer(registry, name, reference, &head.headers, rights).await
        }
        Address::Blob { digest, .. } => blobs::answer(registry, digest, head).await,
        Address::Uploads { .. } | Address::Upload { .. } => Err(RegistryError::Method { allowed: "POST" }),
    }
}
