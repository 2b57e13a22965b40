//! Addresses of gRPC servers.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a server listens: `HOST:PORT` (or `grpc://HOST:PORT`), `grpcs://HOST:PORT`, or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address; the host may be a name.
    Tcp(String),
    /// The same, secured by TLS.
    Tls(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The text is no address.
    #[error("`{text}` is no address: HOST:PORT, grpcs://HOST:PORT or unix:PATH is expected")]
    Address {
        /// The text.
        text: String,
    },
    /// Certificates are given for a connection that would not use them.
    #[error(
        "certificates are given for `{endpoint}`, which would be spoken to without TLS; `grpcs://{endpoint}` is meant, or none are"
    )]
    Plain {
        /// The address.
        endpoint: Endpoint,
    },
    /// Nobody answered there.
    #[error("cannot reach `{endpoint}`: {reason}")]
    Unreachable {
        /// The address.
        endpoint: Endpoint,
        /// What the last attempt came to.
        reason: String,
    },
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let bad = || EndpointError::Address { text: text.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(bad()) } else { Ok(Self::Unix(path.into())) };
        }
        let (address, secured) = match text.strip_prefix("grpcs://") {
            Some(address) => (address, true),
            None => (text.strip_prefix("grpc://").unwrap_or(text), false),
        };
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        let plain = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let good = plain && (bracketed || !host.contains(':')) && port.parse::<u16>().is_ok();
        match (good, secured) {
            (true, true) => Ok(Self::Tls(address.to_owned())),
            (true, false) => Ok(Self::Tcp(address.to_owned())),
            (false, _) => Err(bad()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Tls(address) => write!(f, "grpcs://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Longest path that fits into a socket address.
const MAX_SOCKET_PATH: usize = 107;

/// Returns a path by which a socket can be bound or connected to however long its own is.
/// It is good as long as the file returned with it, if any, is open.
///
/// # Errors
/// When its directory cannot be opened.
pub(crate) fn short_socket_path(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok((path.to_owned(), None));
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    let directory = File::open(parent)?;
    let name = path.file_name().unwrap_or_default();
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((short, Some(directory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in ["localhost:8981", "127.0.0.1:1", "[::1]:8980", "unix:/run/x", "grpcs://a:1", "grpcs://[::1]:8980"]
        {
            assert_eq!(text.parse::<Endpoint>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn schemes_say_whether_tls_is_spoken() {
        let parse = |text: &str| text.parse::<Endpoint>().expect(text);
        assert_eq!(parse("grpc://a:1"), Endpoint::Tcp("a:1".to_owned()));
        assert_eq!(parse("grpcs://a:1"), Endpoint::Tls("a:1".to_owned()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "localhost",
            ":80",
            "a:b",
            "http://a:1",
            "::1:80",
            "a:99999",
            "unix:",
            "u@h:1",
            "grpcs://a",
            "grpcs://:1",
            "grpc://grpcs://a:1",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
