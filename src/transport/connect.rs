//! From an address to a connection over which gRPC can be spoken.
//!
//! A server that is there says something within a second: it accepts, completes the handshake and sends its
//! settings. One that does not counts as silent, however the silence is made: refused, dropped, or swallowed.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, timeout};
use tonic::transport::Uri;

use super::{Breaker, Endpoint, EndpointError, Security, short_socket_path, tls};

/// Longest wait for a sign of life.
const SILENCE: Duration = Duration::from_secs(1);
/// Large messages cross in few frames: at 16 KiB, the default, the framing shows in a profile.
pub(crate) const FRAME_BYTES: u32 = 1 << 20;
/// Bytes of one stream that may be on their way. At 50 ms, a smaller window would slow a gigabit link down.
const STREAM_WINDOW: u32 = 16 << 20;
/// When the kernel asks whether the other side still lives, and how often before it gives up. gRPC servers punish
/// HTTP/2 pings that come more often than every five minutes; these they do not see.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 3);
/// Longest time that sent bytes may stay unacknowledged, in milliseconds.
const UNACKNOWLEDGED: u32 = 20_000;
/// How the answer of a server begins that speaks TLS and was not spoken to in it: an alert. No HTTP/2 server begins
/// so; it would be a frame of more than a megabyte.
const TLS_ALERT: &[u8] = &[21, 3];

pub(super) type BoxedStream = Pin<Box<dyn Stream>>;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// Returns how tonic is to speak over connections to an endpoint.
pub(super) fn builder(endpoint: &Endpoint) -> Result<tonic::transport::Endpoint, EndpointError> {
    let uri = match endpoint {
        Endpoint::Tcp(address) => format!("http://{address}"),
        Endpoint::Tls(address) => format!("https://{address}"),
        Endpoint::Unix(_) => "http://localhost".to_owned(),
    };
    let bad = |_| EndpointError::Address { text: endpoint.to_string() };
    let builder = tonic::transport::Endpoint::from_shared(uri).map_err(bad)?;
    Ok(builder
        .max_frame_size(FRAME_BYTES)
        .initial_stream_window_size(Some(STREAM_WINDOW))
        .initial_connection_window_size(Some(2 * STREAM_WINDOW)))
}

/// Opens connections, and tells the breaker what comes of it.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) endpoint: Endpoint,
    pub(super) security: Security,
    pub(super) breaker: Breaker,
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Watched>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Watched>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let connected = timeout(SILENCE, open(&this.endpoint, &this.security)).await;
            let connected = connected.unwrap_or_else(|_| Err(silence("does not answer")));
            match connected {
                Ok(stream) => Ok(TokioIo::new(Watched::new(stream, this.breaker))),
                Err(error) => {
                    this.breaker.failed(error.to_string());
                    Err(error)
                }
            }
        })
    }
}

fn silence(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("it {what} within {} s", SILENCE.as_secs()))
}

pub(super) async fn open(endpoint: &Endpoint, security: &Security) -> io::Result<BoxedStream> {
    match endpoint {
        Endpoint::Tcp(address) => Ok(Box::pin(tcp(address).await?)),
        Endpoint::Tls(address) => Ok(Box::pin(tls::secured(tcp(address).await?, address, security).await?)),
        Endpoint::Unix(path) => {
            let (short, _directory) = short_socket_path(path)?;
            Ok(Box::pin(UnixStream::connect(short).await?))
        }
    }
}

async fn tcp(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (idle, interval, count) = KEEPALIVE;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, idle)?;
    sockopt::set_tcp_keepintvl(&stream, interval)?;
    sockopt::set_tcp_keepcnt(&stream, count)?;
    sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED)?;
    Ok(stream)
}

/// A connection that fails when nothing comes from the other side at its beginning.
pub(super) struct Watched {
    stream: BoxedStream,
    breaker: Breaker,
    /// Set until something was heard.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    fn new(stream: BoxedStream, breaker: Breaker) -> Self {
        Self { stream, breaker, silence: Some(Box::pin(tokio::time::sleep(SILENCE))) }
    }

    /// Takes note of a write that fails at the beginning of a connection. What the other side said before it closed
    /// it tells more than that it did (that it wants a certificate, say), so the error is what a read comes to.
    fn written<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Poll::Ready(Err(error)) = written else { return written };
        if self.silence.is_none() {
            return Poll::Ready(Err(error));
        }
        let mut last = [0; 64];
        match Pin::new(&mut *self).poll_read(cx, &mut ReadBuf::new(&mut last)) {
            Poll::Ready(Ok(())) => Poll::Ready(Err(error)),
            Poll::Ready(Err(reason)) => Poll::Ready(Err(reason)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.stream.as_mut().poll_read(cx, buffer);
        let Some(deadline) = self.silence.as_mut() else { return read };
        let failed = match read {
            Poll::Ready(Ok(())) if buffer.filled()[before..].starts_with(TLS_ALERT) => {
                io::Error::new(io::ErrorKind::InvalidData, "it speaks TLS: its address begins with `grpcs://`")
            }
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                self.silence = None;
                self.breaker.heard();
                return read;
            }
            Poll::Ready(Ok(())) => io::Error::new(io::ErrorKind::UnexpectedEof, "it closes the connection at once"),
            Poll::Ready(Err(error)) => tls::explained(error),
            Poll::Pending if deadline.as_mut().poll(cx).is_ready() => silence("says nothing"),
            Poll::Pending => return Poll::Pending,
        };
        self.silence = None;
        self.breaker.failed(failed.to_string());
        Poll::Ready(Err(failed))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write_vectored(cx, slices);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream.as_mut().poll_flush(cx);
        self.written(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}
