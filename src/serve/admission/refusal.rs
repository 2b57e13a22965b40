//! How those are refused who may not make a call: as gRPC does, or as the web does.

use axum::response::IntoResponse;
use serde_json::json;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use tonic::codegen::http::{HeaderValue, Response, StatusCode};

use crate::serve::roles::Role;
use crate::serve::status::{role_message, role_status};

/// The ways in which a request that is no gRPC call may show its token.
const CHALLENGES: [&str; 2] = ["Bearer realm=\"envserve\"", BASIC];
const BASIC: &str = "Basic realm=\"envserve\", charset=\"UTF-8\"";
/// Where images are served. Clients of registries take `Bearer` for the address of another server.
const REGISTRY: &str = "/v2/";

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody knows who calls.
    Unknown(&'static str),
    /// It is known, and that is not enough.
    Role {
        /// What whoever calls has.
        held: Role,
        /// What the call needs.
        least: Role,
    },
}

impl Refusal {
    /// Returns what is answered to a gRPC call.
    pub(super) fn into_grpc(self) -> Response<Body> {
        match self {
            Self::Unknown(reason) => Status::unauthenticated(reason).into_http(),
            Self::Role { held, least } => role_status(held, least).into_http(),
        }
    }

    /// Returns what is answered to another request.
    pub(super) fn into_http(self, path: &str) -> Response<Body> {
        let of_registry = path.starts_with(REGISTRY);
        match self {
            Self::Unknown(_) => {
                let mut response = Response::default();
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                let challenges = if of_registry { &[BASIC][..] } else { &CHALLENGES };
                for challenge in challenges {
                    response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
                response
            }
            Self::Role { held, least } => {
                let message = role_message(held, least);
                let (kind, text) = if of_registry {
                    let errors = json!({"errors": [{"code": "DENIED", "message": message, "detail": null}]});
                    ("application/json", errors.to_string())
                } else {
                    ("text/plain; charset=utf-8", format!("{message}\n"))
                };
                (StatusCode::FORBIDDEN, [(CONTENT_TYPE, kind)], text).into_response().map(Body::new)
            }
        }
    }
}
