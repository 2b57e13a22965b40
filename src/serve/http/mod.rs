//! What is served over plain HTTP, beside gRPC on the same port: the binary cache of Nix.

pub(super) mod nix;
mod registry;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;

/// How the content type of every gRPC call begins.
const GRPC: &[u8] = b"application/grpc";

/// Adds what is served over HTTP to what is served over gRPC. Each is told in its own way that a path is unknown.
pub(super) fn add_to(routes: Routes, cache: nix::Cache) -> Routes {
    routes.into_axum_router().merge(nix::routes(cache)).fallback(unknown).into()
}

/// Says whether a request is a gRPC call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(GRPC))
}

async fn unknown(headers: HeaderMap) -> Response {
    if is_grpc(&headers) {
        Status::unimplemented("").into_http::<Body>().map(axum::body::Body::new)
    } else {
        (StatusCode::NOT_FOUND, "there is nothing here; the binary cache of Nix is at /nix/\n").into_response()
    }
}
