//! Arguments about certificates, tokens and headers.

use std::path::PathBuf;

use clap::Args;

use crate::serve::{ServerSecurity, ServerTls};
use crate::transport::{Headers, Identity, Security, SecurityError};

/// What a daemon shows to its clients, and wants to see of them.
#[derive(Debug, Args)]
pub(super) struct ServerSecurityArguments {
    /// The certificate (PEM) to show to clients; TLS alone is then spoken over TCP. Read again when it changes.
    #[arg(long, env = "ENVSERVE_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The private key of the certificate.
    #[arg(long, env = "ENVSERVE_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Authorities (PEM) of which one has to vouch for the certificate that every client then must show.
    #[arg(long, env = "ENVSERVE_TLS_CLIENT_CA", requires = "tls_cert", value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,

    /// Tokens, one a line, of which every call must show one. Read again when it changes.
    #[arg(long, env = "ENVSERVE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Tokens, one a line, with which clients over TCP may have checkpoints: what was in the memory of services. Other
    /// clients over TCP may not. These tokens admit to everything else, too. Read again when it changes.
    #[arg(long, env = "ENVSERVE_CHECKPOINT_TOKEN_FILE", value_name = "FILE")]
    checkpoint_token_file: Option<PathBuf>,

    /// Let everybody who can connect have checkpoints.
    #[arg(long)]
    checkpoints_for_all: bool,
}

impl ServerSecurityArguments {
    pub(super) fn security(&self) -> ServerSecurity {
        let tls = identity(self.tls_cert.as_ref(), self.tls_key.as_ref());
        let tls = tls.map(|identity| ServerTls { identity, client_ca: self.tls_client_ca.clone() });
        ServerSecurity {
            tls,
            token_file: self.token_file.clone(),
            checkpoint_token_file: self.checkpoint_token_file.clone(),
            checkpoints_for_all: self.checkpoints_for_all,
        }
    }
}

/// What is shown to the server, and whom to trust.
#[derive(Debug, Args)]
pub(super) struct ServeSecurityArguments {
    /// Authorities (PEM) to trust at the server, instead of those that this host trusts.
    #[arg(long, env = "ENVSERVE_SERVE_CA", value_name = "FILE")]
    serve_ca: Option<PathBuf>,

    /// The certificate (PEM) to show to the server.
    #[arg(long, env = "ENVSERVE_SERVE_CERT", requires = "serve_key", value_name = "FILE")]
    serve_cert: Option<PathBuf>,

    /// The private key of that certificate.
    #[arg(long, env = "ENVSERVE_SERVE_KEY", requires = "serve_cert", value_name = "FILE")]
    serve_key: Option<PathBuf>,

    /// Headers to send to the server, a `name: value` on each line: `authorization: Bearer TOKEN`, say.
    #[arg(long, env = "ENVSERVE_SERVE_HEADERS", value_name = "FILE")]
    serve_headers: Option<PathBuf>,
}

impl ServeSecurityArguments {
    /// Returns what these come to. Reads the headers.
    pub(super) fn security(&self) -> Result<Security, SecurityError> {
        Ok(Security {
            ca: self.serve_ca.clone(),
            identity: identity(self.serve_cert.as_ref(), self.serve_key.as_ref()),
            headers: headers(self.serve_headers.as_ref())?,
        })
    }
}

/// The same for the remote-execution endpoint.
#[derive(Debug, Args)]
pub(super) struct RemoteSecurityArguments {
    /// Authorities (PEM) to trust at the remote-execution endpoint, instead of those that this host trusts.
    #[arg(long, env = "ENVSERVE_REMOTE_CA", value_name = "FILE")]
    remote_ca: Option<PathBuf>,

    /// The certificate (PEM) to show to the remote-execution endpoint.
    #[arg(long, env = "ENVSERVE_REMOTE_CERT", requires = "remote_key", value_name = "FILE")]
    remote_cert: Option<PathBuf>,

    /// The private key of that certificate.
    #[arg(long, env = "ENVSERVE_REMOTE_KEY", requires = "remote_cert", value_name = "FILE")]
    remote_key: Option<PathBuf>,

    /// Headers to send to the remote-execution endpoint, a `name: value` on each line.
    #[arg(long, env = "ENVSERVE_REMOTE_HEADERS", value_name = "FILE")]
    remote_headers: Option<PathBuf>,
}

impl RemoteSecurityArguments {
    /// Returns what these come to. Reads the headers.
    pub(super) fn security(&self) -> Result<Security, SecurityError> {
        Ok(Security {
            ca: self.remote_ca.clone(),
            identity: identity(self.remote_cert.as_ref(), self.remote_key.as_ref()),
            headers: headers(self.remote_headers.as_ref())?,
        })
    }
}

/// Returns a certificate with its key. That there is neither or both is seen to when the command line is parsed.
fn identity(certificate: Option<&PathBuf>, key: Option<&PathBuf>) -> Option<Identity> {
    Some(Identity { certificate: certificate?.clone(), key: key?.clone() })
}

fn headers(file: Option<&PathBuf>) -> Result<Headers, SecurityError> {
    file.cloned().map_or_else(|| Ok(Headers::default()), Headers::from_file)
}
