//! TLS towards clients, with certificates that are read again when they change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::server::TlsStream;

use crate::store::blocking;
use crate::transport::{HTTP1, HTTP2, Identity, Reloaded, SecurityError, authorities, identity, provider};

/// Longest handshake. Who takes longer wants to keep a place.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What is needed to speak TLS.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// What is shown to clients.
    pub identity: Identity,
    /// The authorities (PEM) of which one has to vouch for every client.
    pub client_ca: Option<PathBuf>,
}

/// Turns TCP connections into secure ones. Clones share the certificates.
#[derive(Debug, Clone)]
pub(super) struct Handshakes {
    config: Arc<Reloaded<ServerConfig>>,
}

impl Handshakes {
    /// Reads the certificates. Blocks.
    pub(super) fn open(tls: ServerTls) -> Result<Self, SecurityError> {
        let mut files = vec![tls.identity.certificate.clone(), tls.identity.key.clone()];
        files.extend(tls.client_ca.clone());
        let config = Reloaded::open(files, move || config(&tls))?;
        Ok(Self { config: Arc::new(config) })
    }

    /// Returns the secure form of a connection, or `None` when the client does not agree to one in time.
    pub(super) async fn secure(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let peer = stream.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
        if self.config.is_due() {
            let config = Arc::clone(&self.config);
            blocking(move || config.look()).await;
        }
        let acceptor = TlsAcceptor::from(self.config.current());
        let reason = match timeout(TIME_LIMIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it takes longer than {} s", TIME_LIMIT.as_secs()),
        };
        tracing::info!(peer, reason, "a TLS handshake failed");
        None
    }
}

/// Reads the files. Blocks.
fn config(tls: &ServerTls) -> Result<ServerConfig, SecurityError> {
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.expect("the provider has ciphers of both versions");
    let config = match &tls.client_ca {
        None => config.with_no_client_auth(),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider());
            config.with_client_cert_verifier(verifier.build().expect("there is an authority, and no revocation list"))
        }
    };
    let (chain, key) = identity(&tls.identity)?;
    let (certificate, key_file) = (tls.identity.certificate.clone(), tls.identity.key.clone());
    let unusable = |source| SecurityError::Identity { certificate, key: key_file, source };
    let mut config = config.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(config)
}
