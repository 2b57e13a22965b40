//! The private daemon: one per client root, started by a client, gone when nobody needs it.
//!
//! Whoever starts or ends one holds the lock in its directory, so racing
//! clients start exactly one, and none connects to one that is leaving.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::ServeOptions;
use super::backend::Backend;

/// Where a client root keeps what belongs to its private daemon.
#[derive(Debug, Clone)]
pub struct PrivatePaths {
    directory: PathBuf,
}

impl PrivatePaths {
    /// Returns the places below a client root; the directory is made, for its owner alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(root: &Path) -> io::Result<Self> {
        let paths = Self::below(root);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&paths.directory)?;
        Ok(paths)
    }

    /// Returns the places below a client root, whether or not they are there.
    fn below(root: &Path) -> Self {
        Self { directory: root.join("private") }
    }

    /// Returns the socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// Returns the file to which the daemon writes its messages.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn open_lock(&self) -> io::Result<File> {
        File::options().create(true).truncate(false).write(true).open(self.directory.join("lock"))
    }
}

/// Waits until nobody starts or ends the daemon, and keeps others from it while the file is open. Blocks.
///
/// # Errors
/// When the lock cannot be had.
pub fn lock_start(paths: &PrivatePaths) -> io::Result<File> {
    let file = paths.open_lock()?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// Completes when a private daemon has had no connection and no build for its idle time, with the
/// lock held and the socket gone. Never completes for any other daemon.
pub(super) fn idle(
    options: &ServeOptions,
    connections: Arc<AtomicUsize>,
    backend: Backend,
) -> impl Future<Output = Option<File>> + Send + 'static {
    let (limit, root) = (options.idle, options.root.clone());
    async move {
        match limit {
            Some(limit) => wait_idle(limit, &root, &connections, &backend).await,
            None => std::future::pending().await,
        }
    }
}

async fn wait_idle(limit: Duration, root: &Path, connections: &AtomicUsize, backend: &Backend) -> Option<File> {
    let mut busy = Instant::now();
    loop {
        tokio::time::sleep((limit / 4).max(Duration::from_millis(10))).await;
        if connections.load(Ordering::SeqCst) > 0 || backend.builds_in_flight() > 0 {
            busy = Instant::now();
        } else if busy.elapsed() >= limit
            && let Ok(lock) = leave(root)
        {
            tracing::info!("leaving: nobody has needed this daemon for a while");
            return lock;
        }
    }
}

/// Takes the lock, unless a client has it, and removes the socket. When somebody has removed the directory of
/// both, no client can find this daemon any more, and there is nothing to lock.
fn leave(root: &Path) -> io::Result<Option<File>> {
    let paths = PrivatePaths::below(root);
    let lock = match paths.open_lock() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock?,
    };
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    match fs::remove_file(paths.socket()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(Some(lock)),
    }
}
