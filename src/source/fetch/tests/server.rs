//! An HTTP/1.1 server that answers as badly as a test wants it to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// A server on a port of its own, until dropped. It closes each connection after one answer.
pub(in crate::source) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

/// A request that a server saw.
#[derive(Debug, Clone, Default)]
pub(in crate::source) struct Request {
    pub(in crate::source) method: String,
    pub(in crate::source) target: String,
    headers: HashMap<String, String>,
    pub(in crate::source) body: String,
}

/// What a server answers.
#[derive(Default)]
pub(in crate::source) struct Answer {
    head: String,
    length: Option<usize>,
    body: Vec<u8>,
    end: End,
}

/// What comes after the body.
#[derive(Default, Clone, Copy)]
enum End {
    #[default]
    Close,
    Silence,
    Endless,
}

type Answering = dyn Fn(usize, &Request) -> Answer + Send + Sync;

impl Server {
    /// Starts a server; `answering` is given the number of earlier requests, and the request.
    pub(in crate::source) async fn start(
        answering: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Arc::new(answering), None).await
    }

    /// Starts a server that speaks TLS.
    pub(in crate::source) async fn secured(
        config: ServerConfig,
        answering: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Arc::new(answering), Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(answering: Arc<Answering>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answering, all, tls) = (Arc::clone(&answering), Arc::clone(&all), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, &*answering, &all).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            serve(stream, &*answering, &all).await;
                        }
                    }
                });
            }
        });
        Self { address, seen, task }
    }

    /// Returns an address at this server.
    pub(in crate::source) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(in crate::source) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the requests so far.
    pub(in crate::source) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub(in crate::source) fn count(&self) -> usize {
        self.seen().len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Request {
    pub(in crate::source) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte that is asked for.
    pub(in crate::source) fn first(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }

    async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            text.push(stream.read_u8().await.ok()?);
        }
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines();
        let mut words = lines.next()?.split(' ').map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let fields = lines.filter_map(|line| line.split_once(": "));
        let headers: HashMap<String, String> =
            fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        Some(Self { method, target, headers, body: String::from_utf8(body).unwrap() })
    }
}

impl Answer {
    pub(in crate::source) fn new(status: &str) -> Self {
        Self { head: format!("HTTP/1.1 {status}\r\nConnection: close\r\n"), ..Self::default() }
    }

    /// The whole file.
    pub(in crate::source) fn file(body: &[u8]) -> Self {
        Self::new("200 OK").body(body)
    }

    /// The file, or the part of it that is asked for if it is still of the version `tag`.
    pub(in crate::source) fn part(request: &Request, body: &[u8], tag: &str) -> Self {
        match request.first().filter(|_| request.header("if-range") == Some(tag)) {
            Some(first) => Self::rest(first, body).header("ETag", tag),
            None => Self::file(body).header("ETag", tag),
        }
    }

    /// The file from a byte on.
    pub(in crate::source) fn rest(first: usize, body: &[u8]) -> Self {
        let range = format!("bytes {first}-{}/{}", body.len() - 1, body.len());
        Self::new("206 Partial Content").header("Content-Range", &range).body(&body[first..])
    }

    pub(in crate::source) fn redirect(to: &str) -> Self {
        Self::new("302 Found").header("Location", to)
    }

    pub(in crate::source) fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    pub(in crate::source) fn body(mut self, body: &[u8]) -> Self {
        (self.length, self.body) = (Some(body.len()), body.to_owned());
        self
    }

    /// Says that the body has another length than it has, or does not say one.
    pub(in crate::source) fn length(mut self, length: Option<usize>) -> Self {
        self.length = length;
        self
    }

    /// Closes the connection after so many bytes.
    pub(in crate::source) fn cut(mut self, bytes: usize) -> Self {
        self.body.truncate(bytes);
        self
    }

    /// Keeps silent after so many bytes.
    pub(in crate::source) fn stall(mut self, bytes: usize) -> Self {
        self.end = End::Silence;
        self.cut(bytes)
    }

    /// Goes on for ever.
    pub(in crate::source) fn endless(mut self) -> Self {
        self.end = End::Endless;
        self.length(None)
    }

    /// Not even a status.
    pub(in crate::source) fn nothing() -> Self {
        Self::default()
    }

    /// Writes until the other side has enough.
    async fn write(self, stream: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let length = self.length.or(self.body.is_empty().then_some(0)).filter(|_| !matches!(self.end, End::Endless));
        if !self.head.is_empty() {
            let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
            stream.write_all(format!("{}{length}\r\n", self.head).as_bytes()).await?;
        }
        stream.write_all(&self.body).await?;
        stream.flush().await?;
        match self.end {
            End::Close => stream.shutdown().await,
            End::Silence => std::future::pending().await,
            End::Endless => loop {
                stream.write_all(&[0; 4096]).await?;
            },
        }
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answering: &Answering, seen: &Mutex<Vec<Request>>) {
    let Some(request) = Request::read(&mut stream).await else { return };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    // The other side may hang up.
    let _ = answering(before, &request).write(&mut stream).await;
}
