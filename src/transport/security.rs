//! How a connection is secured and what is sent along with every call.
//!
//! Everything is named by file, so that secrets stand in no command line and no log, and can be renewed in place.

use std::io;
use std::path::PathBuf;

use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem;

use super::Headers;

/// What this side shows to a server, and whom it trusts.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// The authorities (PEM) whose certificates are trusted, instead of those that this host trusts.
    pub ca: Option<PathBuf>,
    /// What is shown to a server that wants to know who calls.
    pub identity: Option<Identity>,
    /// Sent with every call.
    pub headers: Headers,
}

impl Security {
    /// Says whether certificates are given, which only TLS makes use of.
    pub(super) fn wants_tls(&self) -> bool {
        self.ca.is_some() || self.identity.is_some()
    }
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and then those of the authorities between it and one that is trusted.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What is wrong with a file of certificates, keys, headers or tokens. Never tells what stands in it.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// It cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A line of it is not as it should be.
    #[error("{path}:{line}: {expected} is expected")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What a line holds.
        expected: &'static str,
    },
    /// It is damaged.
    #[error("`{path}` is not valid PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// What it is read for does not stand in it.
    #[error("there is no {what} in `{path}`")]
    Absent {
        /// What is missing.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The certificate of an authority is of no use.
    #[error("the authorities in `{path}` cannot be used")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// A certificate and a key do not belong together, or are of no known kind.
    #[error("the certificate in `{certificate}` cannot be used with the key in `{key}`")]
    Identity {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// No authority is named, and this host has none.
    #[error("this host has no certificates of authorities{reason}")]
    NoAuthorities {
        /// What went wrong on looking for them.
        reason: String,
    },
}
