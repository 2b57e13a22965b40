//! Servers with certificates, made by the `openssl` program.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio_rustls::rustls::ServerConfig;

use super::*;
use crate::transport::{Identity, SecurityError, authorities, identity, provider};

/// Makes a certificate that vouches for itself, and its key.
fn certificate(directory: &Path, names: &str) -> Identity {
    let path = |name: &str| -> PathBuf { directory.join(name) };
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=server", "-addext", &format!("subjectAltName={names}")]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    let made = openssl.arg("-keyout").arg(path("key.pem")).arg("-out").arg(path("certificate.pem")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Identity { certificate: path("certificate.pem"), key: path("key.pem") }
}

/// Starts a server with a certificate for `names`, and returns an address there and whom to trust.
async fn server(names: &str) -> (Server, String, RootCertStore) {
    let directory = tempfile::tempdir().unwrap();
    let certificate = certificate(directory.path(), names);
    let (chain, key) = identity(&certificate).unwrap();
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let server = Server::secured(config, |_, _| Answer::file(b"text")).await;
    let address = format!("https://127.0.0.1:{}/", server.port());
    (server, address, authorities(&certificate.certificate).unwrap())
}

#[tokio::test]
async fn a_server_whose_certificate_is_trusted_gives_the_file() {
    let (server, address, authorities) = server("IP:127.0.0.1").await;
    let mut place = Place::new();
    place.fetcher = fetcher(FetchOptions::default(), authorities);
    place.get(b"text", &[address]).await;
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_server_whose_certificate_is_unknown_is_not_asked() {
    let (server, address, _) = server("IP:127.0.0.1").await;
    let place = Place::new();
    let reason = place.reason(b"text", address).await;
    assert!(matches!(reason, Reason::Tls { .. }), "{reason:?}");
    assert_eq!(reason.to_string(), "its certificate is signed by no authority that is trusted here");
    assert_eq!(server.count(), 0);
    place.assert_empty();
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (server, address, authorities) = server("DNS:elsewhere").await;
    let mut place = Place::new();
    place.fetcher = fetcher(FetchOptions::default(), authorities);
    let reason = place.reason(b"text", address).await;
    assert!(reason.to_string().starts_with("its certificate is not for `127.0.0.1`"), "{reason}");
    assert_eq!(server.count(), 0);
    place.assert_empty();
}

#[tokio::test]
async fn a_host_that_trusts_nobody_fetches_without_tls_only() {
    let (secured, address, _) = server("IP:127.0.0.1").await;
    let plain = Server::start(|_, _| Answer::file(b"text")).await;
    let options = FetchOptions::default();
    let authorities = Err(SecurityError::NoAuthorities { reason: String::new() });
    let web = Web::new(&options, Surroundings { authorities, proxies: false }).unwrap();
    let mut place = Place::new();
    place.fetcher = Fetcher::with(options, OnceCell::new_with(Some(web)));
    let reason = place.reason(b"text", address).await;
    assert!(matches!(reason, Reason::NoAuthorities { .. }) && secured.count() == 0, "{reason:?}");
    place.get(b"text", &[plain.url("/")]).await;
}
