//! Arguments about certificates, tokens and headers.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::Args;

use crate::serve::roles::{NoRole, Role};
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

    /// Authorities (PEM) of which one has to vouch for the certificate that every client then must show. With a role,
    /// that is the one of clients who show such a certificate: `reader`, `uploader`, `builder` or `admin`. May be
    /// repeated.
    #[arg(long, env = "ENVSERVE_TLS_CLIENT_CA", requires = "tls_cert", value_name = "[ROLE=]FILE", value_parser = role_and_file)]
    tls_client_ca: Vec<(Option<Role>, PathBuf)>,

    /// Tokens, one a line, and the role of those who show one [default: admin]. Every call must show a token then,
    /// unless `--anonymous` says otherwise. Read again when it changes. May be repeated.
    #[arg(long, env = "ENVSERVE_TOKEN_FILE", value_name = "[ROLE=]FILE", value_parser = role_and_file)]
    token_file: Vec<(Option<Role>, PathBuf)>,

    /// The role of those who show neither token nor certificate, or `none` [default: none where somebody has a role by
    /// these, else admin]
    #[arg(long, env = "ENVSERVE_ANONYMOUS", value_name = "ROLE", value_parser = role_or_none)]
    anonymous: Option<Anonymous>,

    /// Start even though everybody who can connect can write or build, from other hosts too.
    #[arg(long)]
    allow_anonymous_writes: bool,

    /// Tokens, one a line, with which clients over TCP may have checkpoints: what was in the memory of services. Other
    /// clients over TCP may not. They are those of admins, unless they are in a `--token-file` as well. Read again when
    /// it changes.
    #[arg(long, env = "ENVSERVE_CHECKPOINT_TOKEN_FILE", value_name = "FILE")]
    checkpoint_token_file: Option<PathBuf>,

    /// Let everybody who can connect have checkpoints.
    #[arg(long)]
    checkpoints_for_all: bool,
}

/// The role of those who show nothing, if they have one.
#[derive(Debug, Clone, Copy)]
struct Anonymous(Option<Role>);

fn role_or_none(text: &str) -> Result<Anonymous, String> {
    if text == "none" {
        return Ok(Anonymous(None));
    }
    text.parse().map(|role| Anonymous(Some(role))).map_err(|error: NoRole| format!("{error}, or `none`"))
}

/// Reads `ROLE=FILE`, or `FILE`: what stands before a `=` and is no role belongs to the path.
fn role_and_file(text: &str) -> Result<(Option<Role>, PathBuf), Infallible> {
    let named = text.split_once('=').and_then(|(role, file)| Some((role.parse().ok()?, file)));
    Ok(named.map_or_else(|| (None, text.into()), |(role, file)| (Some(role), file.into())))
}

impl ServerSecurityArguments {
    pub(super) fn security(&self) -> ServerSecurity {
        let tls = identity(self.tls_cert.as_ref(), self.tls_key.as_ref());
        ServerSecurity {
            tls: tls.map(|identity| ServerTls { identity, authorities: self.tls_client_ca.clone() }),
            token_files: self
                .token_file
                .iter()
                .map(|(role, file)| (role.unwrap_or(Role::Admin), file.clone()))
                .collect(),
            anonymous: self.anonymous.map(|Anonymous(role)| role),
            allow_anonymous_writes: self.allow_anonymous_writes,
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
