//! A thread in the network of a container: it passes connections on to the container's ports, and looks whether they
//! answer.
//!
//! Sockets belong to the network that their thread is in when they are made. So the thread stays there, and what it
//! accepts comes from listeners that were made outside.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

/// Most connections to a container at one time; others wait.
const CONNECTIONS: usize = 1024;

/// Where connections for a port come in.
#[derive(Debug)]
pub(crate) enum Entrance {
    /// A port of this host.
    Tcp(TcpListener),
    /// A socket of this host.
    Unix(UnixListener),
}

impl Entrance {
    /// Returns it once more.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }
}

/// The thread, which ends when this is dropped, with all its connections.
pub(crate) struct Inside {
    handle: Handle,
    connections: Arc<Semaphore>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Inside {
    /// Starts it.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn enter(network: OwnedFd) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (started, handle) = mpsc::channel();
        let thread = std::thread::Builder::new().name("network".to_owned()).spawn(move || {
            let runtime = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(io::Error::from)
                .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
            match runtime {
                Ok(runtime) => {
                    // Whoever waits for it is there until it has it.
                    drop(started.send(Ok(runtime.handle().clone())));
                    // It ends when it is told, or when there is nobody who could tell.
                    drop(runtime.block_on(stopped));
                    runtime.shutdown_background();
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        let handle = handle.recv().map_err(io::Error::other)??;
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        Ok(Self { handle, connections, stop: Some(stop), thread: Some(thread) })
    }

    /// Does something in the network.
    ///
    /// # Cancel safety
    /// What was started goes on until it ends, or the thread does.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.handle.spawn(work).await.ok()
    }

    /// Passes what comes in somewhere on to a port.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub(crate) fn forward(&self, entrance: Entrance, port: u16) -> io::Result<()> {
        let _here = self.handle.enter();
        let connections = self.connections.clone();
        match entrance {
            Entrance::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                self.handle.spawn(pass_on(listener, port, connections));
            }
            Entrance::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let listener = tokio::net::UnixListener::from_std(listener)?;
                self.handle.spawn(pass_on(listener, port, connections));
            }
        }
        Ok(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic, and would have nothing to say.
            drop(thread.join());
        }
    }
}

/// Returns the address of a port as the container itself sees it.
pub(super) fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Takes connections of one kind.
trait Accept: Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn poll_connection(&self, context: &mut Context<'_>) -> Poll<io::Result<Self::Stream>>;
}

impl Accept for tokio::net::TcpListener {
    type Stream = TcpStream;

    fn poll_connection(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.poll_accept(context).map_ok(|(stream, _)| {
            // What does not work only makes it slower.
            drop(stream.set_nodelay(true));
            stream
        })
    }
}

impl Accept for tokio::net::UnixListener {
    type Stream = UnixStream;

    fn poll_connection(&self, context: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.poll_accept(context).map_ok(|(stream, _)| stream)
    }
}

async fn pass_on(listener: impl Accept, port: u16, connections: Arc<Semaphore>) {
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        let Ok(mut outer) = poll_fn(|context| listener.poll_connection(context)).await else {
            // Too many open files, say: others may be closed meanwhile.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        tokio::spawn(async move {
            let _permit = permit;
            // Whoever connects to a port that nobody serves sees the end of the connection.
            let Ok(mut inner) = TcpStream::connect(address(port)).await else { return };
            // What does not work only makes it slower.
            drop(inner.set_nodelay(true));
            // Both sides see how it ends.
            drop(tokio::io::copy_bidirectional(&mut outer, &mut inner).await);
        });
    }
}
