//! The processes of a sandbox, held so that all of them can be killed.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::unix::AsyncFd;

/// All processes of a sandbox, by the first of them.
#[derive(Debug)]
pub(super) struct Namespace {
    first: AsyncFd<OwnedFd>,
}

impl Namespace {
    /// Takes hold of a namespace. There is none when its first process is dead.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(super) fn open(first: i32) -> io::Result<Option<Self>> {
        let pid = Pid::from_raw(first).ok_or(io::ErrorKind::InvalidData)?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Ok(Some(Self { first: watched(descriptor)? })),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Kills all processes, without waiting.
    pub(super) fn kill(&self) {
        // It can only fail because the process is dead.
        let _dead = pidfd_send_signal(&self.first, Signal::KILL);
    }

    /// Kills all processes and waits until the last one is dead.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(super) async fn end(&self) -> io::Result<()> {
        self.kill();
        // The kernel reports the first process dead after all others in its namespace.
        self.first.readable().await?.retain_ready();
        Ok(())
    }
}

/// Makes it known when the process behind a descriptor has died.
fn watched(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(deprecated, reason = "unsound for types that give out changing descriptors, which this one does not")]
    AsyncFd::new(process)
}
