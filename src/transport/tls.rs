//! TLS towards a server, and what it means when that fails.

use std::error::Error;
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, ClientConfig, InvalidMessage};

use super::{Security, SecurityError, pem};

/// The protocol to agree on: HTTP/2, which gRPC needs.
pub(crate) const HTTP2: &[u8] = b"h2";

/// The other protocol of a server, for clients that speak no gRPC.
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// Returns the implementation of all cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Makes a connection to `HOST:PORT` a secure one. The certificate files are read each time: that is how renewed
/// ones are taken up.
pub(super) async fn secured(stream: TcpStream, address: &str, security: &Security) -> io::Result<TlsStream<TcpStream>> {
    let config = config_off_thread(security.clone()).await.map_err(|error| io::Error::other(with_causes(&error)))?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host.clone());
    let name = name.map_err(|_| io::Error::other(format!("`{host}` is no name that a certificate can be for")))?;
    let stream =
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                io::Error::other("it ends the TLS handshake; perhaps it does not speak TLS")
            }
            _ => explained(error),
        })?;
    if stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
        return Err(io::Error::other("it speaks TLS, but does not offer HTTP/2"));
    }
    Ok(stream)
}

async fn config_off_thread(security: Security) -> Result<ClientConfig, SecurityError> {
    #[expect(clippy::disallowed_methods, reason = "`store::blocking` belongs to a floor above this one")]
    let read = tokio::task::spawn_blocking(move || config(&security)).await;
    match read {
        Ok(config) => config,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Reads the files. Blocks.
fn config(security: &Security) -> Result<ClientConfig, SecurityError> {
    let authorities = match &security.ca {
        Some(path) => pem::authorities(path)?,
        None => pem::authorities_of_host()?,
    };
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.expect("the provider has ciphers of both versions").with_root_certificates(authorities);
    let mut config = match &security.identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (certificate, key) = (identity.certificate.clone(), identity.key.clone());
            let unusable = |source| SecurityError::Identity { certificate, key, source };
            let (chain, key) = pem::identity(identity)?;
            config.with_client_auth_cert(chain, key).map_err(unusable)?
        }
    };
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(config)
}

/// Returns an error of a connection in words that tell what to do about it, where the fault is one of TLS.
pub(super) fn explained(error: io::Error) -> io::Error {
    let text = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(fault) => explanation(fault),
        None => return error,
    };
    io::Error::new(error.kind(), text)
}

/// Returns in words what is wrong with a server's TLS.
pub(crate) fn explanation(fault: &rustls::Error) -> String {
    match fault {
        rustls::Error::InvalidCertificate(fault) => certificate_fault(fault),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => "it does not speak TLS".to_owned(),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it wants a certificate of its clients, and was shown none".to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::UnknownCA | AlertDescription::DecryptError) => {
            "it does not trust the authority of the client certificate that it was shown".to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "it speaks TLS, but does not offer HTTP/2".to_owned()
        }
        rustls::Error::AlertReceived(alert) => format!("it refuses the TLS connection: {alert:?}"),
        fault => with_causes(fault),
    }
}

fn certificate_fault(fault: &CertificateError) -> String {
    let lack = match fault {
        CertificateError::UnknownIssuer => "is signed by no authority that is trusted here",
        CertificateError::BadSignature => "is not signed by the authority that it names",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "is not one for servers",
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = if presented.is_empty() { "none".to_owned() } else { presented.join(", ") };
            return format!("its certificate is not for `{}`; it is for: {names}", expected.to_str());
        }
        CertificateError::Other(fault) => return format!("its certificate is refused: {}", fault.0),
        fault => return format!("its certificate is refused: {fault}"),
    };
    format!("its certificate {lack}")
}

/// Returns an error in one line, with what caused it.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
