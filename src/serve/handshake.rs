//! TLS towards clients, with certificates that are read again when they change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio_rustls::server::TlsStream;

use super::roles::Role;
use crate::store::blocking;
use crate::transport::{HTTP1, HTTP2, Identity, Reloaded, SecurityError, authorities, identity, provider};

/// Longest handshake. Who takes longer wants to keep a place.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What is needed to speak TLS.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// What is shown to clients.
    pub identity: Identity,
    /// Files (PEM) of authorities that vouch for clients, with the role of those for whom they do. Where one has no
    /// role, every client needs a certificate of one of them all.
    pub authorities: Vec<(Option<Role>, PathBuf)>,
}

impl ServerTls {
    /// Says whether a certificate may give a role.
    pub(super) fn gives_roles(&self) -> bool {
        self.authorities.iter().any(|(role, _)| role.is_some())
    }

    /// Says whether every client has to show a certificate.
    pub(super) fn is_gate(&self) -> bool {
        self.authorities.iter().any(|(role, _)| role.is_none())
    }
}

/// Turns TCP connections into secure ones. Clones share the certificates.
#[derive(Debug, Clone)]
pub(super) struct Handshakes {
    config: Arc<Reloaded<Config>>,
}

/// What was read from the files.
struct Config {
    server: Arc<ServerConfig>,
    verifiers: Vec<(Role, Verifier)>,
}

type Verifier = Arc<dyn ClientCertVerifier>;

/// A secure connection, and the role that the client has by its certificate.
pub(super) struct Secured {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) role: Option<Role>,
}

impl Handshakes {
    /// Reads the certificates. Blocks.
    pub(super) fn open(tls: ServerTls, wants_certificate: bool) -> Result<Self, SecurityError> {
        let mut files = vec![tls.identity.certificate.clone(), tls.identity.key.clone()];
        files.extend(tls.authorities.iter().map(|(_, file)| file.clone()));
        let config = Reloaded::open(files, move || Config::read(&tls, wants_certificate))?;
        Ok(Self { config: Arc::new(config) })
    }

    /// Returns the secure form of a connection, or `None` when the client does not agree to one in time.
    pub(super) async fn secure(&self, stream: TcpStream) -> Option<Secured> {
        let peer = stream.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
        if self.config.is_due() {
            let config = Arc::clone(&self.config);
            blocking(move || config.look()).await;
        }
        let config = self.config.current();
        let acceptor = TlsAcceptor::from(Arc::clone(&config.server));
        let reason = match timeout(TIME_LIMIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let role = config.role(stream.get_ref().1);
                return Some(Secured { stream, role });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it takes longer than {} s", TIME_LIMIT.as_secs()),
        };
        tracing::info!(peer, reason, "a TLS handshake failed");
        None
    }
}

impl Config {
    /// Reads the files. Blocks.
    fn read(tls: &ServerTls, wants_certificate: bool) -> Result<Self, SecurityError> {
        let (mut all, mut verifiers) = (RootCertStore::empty(), Vec::new());
        for (role, file) in &tls.authorities {
            let authorities = authorities(file)?;
            all.extend(authorities.roots.iter().cloned());
            if let Some(role) = role {
                verifiers.push((*role, verifier(authorities, true)));
            }
        }
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let config = config.expect("the provider has ciphers of both versions");
        let config = match tls.authorities.is_empty() {
            true => config.with_no_client_auth(),
            false => config.with_client_cert_verifier(verifier(all, wants_certificate)),
        };
        let (chain, key) = identity(&tls.identity)?;
        let (certificate, key_file) = (tls.identity.certificate.clone(), tls.identity.key.clone());
        let unusable = |source| SecurityError::Identity { certificate, key: key_file, source };
        let mut server = config.with_single_cert(chain, key).map_err(unusable)?;
        server.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Self { server: Arc::new(server), verifiers })
    }

    /// Returns the highest role that the certificate of a client gives. That it is the client's own the handshake has
    /// shown.
    fn role(&self, connection: &ServerConnection) -> Option<Role> {
        let (certificate, chain) = connection.peer_certificates()?.split_first()?;
        let vouches = |verifier: &Verifier| verifier.verify_client_cert(certificate, chain, UnixTime::now()).is_ok();
        self.verifiers.iter().filter(|(_, verifier)| vouches(verifier)).map(|(role, _)| *role).max()
    }
}

/// Returns what verifies that one of these authorities vouches for a client.
fn verifier(authorities: RootCertStore, wants_certificate: bool) -> Verifier {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider());
    let verifier = if wants_certificate { verifier } else { verifier.allow_unauthenticated() };
    verifier.build().expect("there is an authority, and no revocation list")
}
