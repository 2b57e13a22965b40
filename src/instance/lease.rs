//! To whom instances belong: a process, with which they go.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::error::InstanceError;
use crate::container::watched;

/// A process that others depend on.
pub(super) struct Owner(OwnedFd);

impl Owner {
    /// Opens it.
    ///
    /// # Errors
    /// `OwnerGone` when there is none of this number.
    pub(super) fn open(pid: u32) -> Result<Self, InstanceError> {
        let gone = |_| InstanceError::OwnerGone { pid };
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH).map_err(gone)?;
        pidfd_open(number, PidfdFlags::empty()).map(Self).map_err(gone)
    }

    /// Says whether it has ended.
    pub(super) fn is_gone(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Waits until it has ended.
    pub(super) async fn gone(self) -> io::Result<()> {
        watched(self.0)?.readable().await.map(drop)
    }
}

/// Waits until the owner has ended, if there is one.
pub(super) async fn gone(owner: Option<Owner>) {
    match owner.map(Owner::gone) {
        // What cannot be watched must not be kept.
        Some(gone) => drop(gone.await),
        None => std::future::pending().await,
    }
}
