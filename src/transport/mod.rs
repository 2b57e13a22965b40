//! Connections to gRPC servers: addresses, security, what to do when nobody answers.
//!
//! The lowest floor that touches the network. A [`Link`] is a connection to one server that comes
//! back by itself; it bounds every call in time, tries again what may succeed a moment later, and
//! knows by its breaker when not to try at all.

mod backoff;
mod breaker;
mod connect;
mod endpoint;
mod headers;
mod link;
mod pem;
mod pulse;
mod reload;
mod security;
mod tls;

pub(crate) use connect::FRAME_BYTES;
pub(crate) use endpoint::short_socket_path;
pub use endpoint::{Endpoint, EndpointError};
pub use headers::Headers;
pub use link::{CallError, Channel, Link, is_of_transport};
pub(crate) use pem::{authorities, authorities_of_host, identity};
pub(crate) use reload::{Reloaded, lines};
pub use security::{Identity, Security, SecurityError};
pub(crate) use tls::{HTTP1, HTTP2, explanation, provider};

pub(crate) use backoff::Backoff;
use breaker::Breaker;
