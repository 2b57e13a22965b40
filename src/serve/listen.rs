//! Sockets: where the server listens, how connections are made secure, and how many there are.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::handshake::{Handshakes, Secured};
use super::roles::Role;
use crate::transport::{Endpoint, short_socket_path};

/// Most TLS handshakes at a time. Whoever comes when there are more waits to be accepted.
const MAX_HANDSHAKES: usize = 256;

/// A bound socket.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix.
    Unix(UnixListener),
}

impl Listener {
    /// Binds an address. A Unix socket that is left over there is replaced.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Endpoint::Tls(_) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an address to listen on is HOST:PORT; TLS is spoken there when a certificate is given",
            )),
            Endpoint::Unix(path) => bind_unix(path).map(Self::Unix),
        }
    }

    /// Returns the TCP address, whose port the system may have chosen.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }

    /// Returns the connections as they come, TCP ones made secure where that is asked for. Those open at a time are
    /// counted in `open`.
    pub(super) fn connections(
        self,
        open: Arc<AtomicUsize>,
        handshakes: Option<Handshakes>,
    ) -> BoxStream<'static, io::Result<Connection>> {
        let secure = move |accepted: io::Result<Connection>| {
            let handshakes = handshakes.clone();
            async move {
                match accepted {
                    Ok(connection) => connection.secured(handshakes.as_ref()).await.map(Ok),
                    Err(error) => Some(Err(error)),
                }
            }
        };
        let secured = self.accepted(open).map(secure).buffer_unordered(MAX_HANDSHAKES);
        secured.filter_map(std::future::ready).boxed()
    }

    fn accepted(self, open: Arc<AtomicUsize>) -> impl futures::Stream<Item = io::Result<Connection>> {
        futures::stream::unfold((self, open), |(listener, open)| async move {
            let accepted = listener.accept().await;
            let accepted =
                accepted.map(|stream| Connection { stream, role: None, counted: Counted::new(Arc::clone(&open)) });
            if accepted.is_err() {
                // Out of file descriptors, most likely: let some be closed first.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            Some((accepted, (listener, open)))
        })
    }
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (short, _directory) = short_socket_path(path)?;
    UnixListener::bind(short)
}

enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

/// An open connection, which counts as such until it is dropped.
pub(super) struct Connection {
    stream: Stream,
    /// That of the client's certificate.
    role: Option<Role>,
    counted: Counted,
}

impl Connection {
    /// Returns its secure form if it is to have one, or `None` when the client does not agree.
    async fn secured(self, handshakes: Option<&Handshakes>) -> Option<Self> {
        let Self { stream, role, counted } = self;
        match (stream, handshakes) {
            (Stream::Tcp(stream), Some(handshakes)) => {
                let Secured { stream, role } = handshakes.secure(stream).await?;
                Some(Self { stream: Stream::Tls(Box::new(stream)), role, counted })
            }
            (stream, _) => Some(Self { stream, role, counted }),
        }
    }
}

/// One more in a number, for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(number: Arc<AtomicUsize>) -> Self {
        number.fetch_add(1, Ordering::SeqCst);
        Self(number)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// What it is called.
    pub name: Arc<str>,
    /// Whether it came through a Unix socket.
    pub local: bool,
    /// The role that it has by its certificate.
    pub role: Option<Role>,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Self::ConnectInfo {
        let tcp = |stream: &TcpStream| stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
        let address = match &self.stream {
            Stream::Tcp(stream) => tcp(stream),
            Stream::Tls(stream) => tcp(stream.get_ref().0),
            Stream::Unix(stream) => {
                let process = stream.peer_cred().ok().and_then(|cred| cred.pid());
                process.map(|process| format!("process {process}")).unwrap_or_default()
            }
        };
        Peer { name: address.into(), local: matches!(self.stream, Stream::Unix(_)), role: self.role }
    }
}

macro_rules! on_stream {
    ($connection:expr, $stream:ident => $call:expr) => {
        match &mut $connection.get_mut().stream {
            Stream::Tcp($stream) => $call,
            Stream::Tls($stream) => $call,
            Stream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
