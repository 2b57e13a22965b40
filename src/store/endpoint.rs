//! Addresses of gRPC servers, and connections to them.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Uri};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Large messages cross in few frames: at 16 KiB, the default, the framing shows in a profile.
pub(crate) const FRAME_BYTES: u32 = 1 << 20;

/// Where a server listens: `HOST:PORT`, or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address; the host may be a name.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The text is no address.
    #[error("`{text}` is no address: HOST:PORT or unix:PATH is expected")]
    Address {
        /// The text.
        text: String,
    },
    /// Nobody answered there.
    #[error("cannot reach `{endpoint}`")]
    Unreachable {
        /// The address.
        endpoint: Endpoint,
        /// The system's reason.
        #[source]
        source: tonic::transport::Error,
    },
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let bad = || EndpointError::Address { text: text.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(bad()) } else { Ok(Self::Unix(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let plain = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if plain && (bracketed || !host.contains(':')) && port.parse::<u16>().is_ok() {
            Ok(Self::Tcp(text.to_owned()))
        } else {
            Err(bad())
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Endpoint {
    /// Opens a connection.
    ///
    /// # Errors
    /// `Unreachable` when nobody answers within a second.
    pub async fn connect(&self) -> Result<Channel, EndpointError> {
        let connected = match self {
            Self::Tcp(address) => builder(format!("http://{address}"))?.connect().await,
            Self::Unix(path) => {
                let path = path.clone();
                let connector = tower::service_fn(move |_: Uri| {
                    let path = path.clone();
                    async move {
                        let (short, _directory) = short_socket_path(&path)?;
                        UnixStream::connect(short).await.map(TokioIo::new)
                    }
                });
                builder("http://localhost".to_owned())?.connect_with_connector(connector).await
            }
        };
        connected.map_err(|source| EndpointError::Unreachable { endpoint: self.clone(), source })
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

fn builder(uri: String) -> Result<tonic::transport::Endpoint, EndpointError> {
    let endpoint = Channel::from_shared(uri.clone()).map_err(|_| EndpointError::Address { text: uri })?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .max_frame_size(FRAME_BYTES)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .initial_stream_window_size(Some(4 << 20))
        .initial_connection_window_size(Some(8 << 20)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in ["localhost:8981", "127.0.0.1:1", "[::1]:8980", "unix:/run/x"] {
            assert_eq!(text.parse::<Endpoint>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "localhost", ":80", "a:b", "http://a:1", "::1:80", "a:99999", "unix:", "u@h:1"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
