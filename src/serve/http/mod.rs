//! What is served over plain HTTP, beside gRPC on the same port: the binary cache of Nix, and the registry of images.

mod body;
mod incoming;
pub(super) mod nix;
mod range;
pub(super) mod registry;
mod room;

use std::path::Path;
use std::{fs, io};

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};

/// How the content type of every gRPC call begins.
const GRPC: &[u8] = b"application/grpc";
/// What is said where there is nothing.
const NOTHING: &str = "there is nothing here; the binary cache of Nix is at /nix/, the registry of images at /v2/\n";

/// Adds what is served over HTTP to what is served over gRPC. Each is told in its own way that a path is unknown.
pub(super) fn add_to(routes: Routes, cache: Option<nix::Cache>, registry: Option<registry::Registry>) -> Routes {
    let mut router = routes.into_axum_router();
    if let Some(cache) = cache {
        router = router.merge(nix::routes(cache));
    }
    if let Some(registry) = registry {
        router = router.merge(registry::routes(registry));
    }
    router.fallback(unknown).into()
}

/// Says whether a request is a gRPC call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(GRPC))
}

async fn unknown(headers: HeaderMap) -> Response {
    if is_grpc(&headers) {
        Status::unimplemented("").into_http::<Body>().map(axum::body::Body::new)
    } else {
        (StatusCode::NOT_FOUND, NOTHING).into_response()
    }
}

/// Makes a directory, without whatever a daemon before left in it. Blocks.
fn empty_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(path)
}

/// Returns the status of what is not the client's fault. What is gone or unreadable in a store is no absence.
fn ours(status: &Status) -> (StatusCode, String) {
    let code = match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => StatusCode::SERVICE_UNAVAILABLE,
        Code::ResourceExhausted => StatusCode::INSUFFICIENT_STORAGE,
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (code, status.message().to_owned())
}
