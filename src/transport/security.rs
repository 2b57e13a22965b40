//! How a connection is secured and what is sent along with every call.

use super::Headers;

/// What this side shows to a server, and whom it trusts.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Sent with every call.
    pub headers: Headers,
}
