//! Certificates and keys from files. What is here blocks.

use std::path::Path;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Identity, SecurityError};

type Chain = Vec<CertificateDer<'static>>;

/// Returns a certificate, with those that vouch for it, and its key.
pub(crate) fn identity(identity: &Identity) -> Result<(Chain, PrivateKeyDer<'static>), SecurityError> {
    let chain = certificates(&identity.certificate)?;
    let path = &identity.key;
    let key = PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|source| match source {
        pem::Error::NoItemsFound => SecurityError::Absent { what: "private key", path: path.clone() },
        source => SecurityError::Pem { path: path.clone(), source },
    })?;
    Ok((chain, key))
}

/// Returns the authorities that a file names.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, SecurityError> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(path)? {
        let unusable = |source| SecurityError::Authorities { path: path.to_owned(), source };
        authorities.add(certificate).map_err(unusable)?;
    }
    Ok(authorities)
}

/// Returns the authorities that this host trusts. Those that are of no use are left out.
pub(crate) fn authorities_of_host() -> Result<RootCertStore, SecurityError> {
    let found = rustls_native_certs::load_native_certs();
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(found.certs);
    if authorities.is_empty() {
        let reason = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(SecurityError::NoAuthorities { reason });
    }
    Ok(authorities)
}

fn certificates(path: &Path) -> Result<Chain, SecurityError> {
    let damaged = |source| SecurityError::Pem { path: path.to_owned(), source };
    let text = read(path)?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Chain, _>>().map_err(damaged)?;
    if chain.is_empty() {
        return Err(SecurityError::Absent { what: "certificate", path: path.to_owned() });
    }
    Ok(chain)
}

fn read(path: &Path) -> Result<Vec<u8>, SecurityError> {
    std::fs::read(path).map_err(|source| SecurityError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_what_is_looked_for_are_named() {
        let directory = tempfile::tempdir().expect("temporary");
        let path = directory.path().join("empty.pem");
        let missing = authorities(&path).expect_err("not there").to_string();
        assert_eq!(missing, format!("cannot read `{}`", path.display()));
        std::fs::write(&path, "no PEM").expect("temporary");
        let empty = authorities(&path).expect_err("empty").to_string();
        assert_eq!(empty, format!("there is no certificate in `{}`", path.display()));
    }

    #[test]
    fn damaged_certificates_are_refused() {
        let directory = tempfile::tempdir().expect("temporary");
        let path = directory.path().join("ca.pem");
        for (text, expected) in [
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "is not valid PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used"),
        ] {
            std::fs::write(&path, text).expect("temporary");
            let error = authorities(&path).expect_err(expected).to_string();
            assert!(error.ends_with(expected), "{error}");
        }
    }
}
