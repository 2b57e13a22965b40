//! How a daemon secures its connections, and whom it admits.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::admission::Admission;
use super::handshake::{Handshakes, ServerTls};
use crate::transport::{Endpoint, SecurityError};

/// What a daemon shows to its clients and wants to see of them. By default nothing.
#[derive(Debug, Clone, Default)]
pub struct ServerSecurity {
    /// TLS, which TCP listeners then speak alone. Unix sockets stay plain.
    pub tls: Option<ServerTls>,
    /// The tokens of which a call has to show one.
    pub token_file: Option<PathBuf>,
    /// The tokens with which a call over TCP may have checkpoints.
    pub checkpoint_token_file: Option<PathBuf>,
    /// Whether every call may have them.
    pub checkpoints_for_all: bool,
}

impl ServerSecurity {
    /// Returns by which address clients reach a daemon that is bound to this one.
    pub fn address(&self, bound: SocketAddr) -> Endpoint {
        match self.tls {
            Some(_) => Endpoint::Tls(bound.to_string()),
            None => Endpoint::Tcp(bound.to_string()),
        }
    }

    /// Reads the files. Blocks.
    pub(super) fn open(self) -> Result<(Option<Handshakes>, Admission), SecurityError> {
        let admission = Admission::open(self.token_file, self.checkpoint_token_file, self.checkpoints_for_all)?;
        Ok((self.tls.map(Handshakes::open).transpose()?, admission))
    }
}
