//! A range of users for actions that are root: a user namespace with as many ids as owners in an image need.
//!
//! It is made once, before the first action that asks for it, and holds no process between actions.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use super::ExecuteError;
use crate::host::users::namespace;

/// What an action that is root in its namespace may do: what changes owners and mounts, for itself and others in it.
pub(super) const CAPABILITIES: [&str; 16] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_CHROOT",
];

/// A user namespace.
pub(super) struct Users {
    namespace: File,
}

impl Users {
    /// Makes the namespace. This blocks.
    ///
    /// # Errors
    /// `Users` with what this host lacks.
    pub(super) fn make(first: u32) -> Result<Self, ExecuteError> {
        let made = namespace(first).map_err(|error| ExecuteError::Users { reason: error.to_string() })?;
        Ok(Self { namespace: made })
    }

    /// Returns the path of the namespace, for as long as this is there.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd())
    }

    /// Gives everything below a directory to the namespace's root, as whom an executor that is not root made it. This
    /// blocks.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn reclaim(&self, path: &Path) -> io::Result<()> {
        let mut command = Command::new("/usr/bin/env");
        command.env_clear().current_dir("/").stdin(Stdio::null());
        command.args(["nsenter", &format!("--user={}", self.path()), "--", "chown", "-hR", "0:0", "--"]).arg(path);
        let output = command.output()?;
        if output.status.success() { Ok(()) } else { Err(io::Error::other(said(&output.stderr))) }
    }
}

fn said(bytes: &[u8]) -> String {
    const SHOWN: usize = 500;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).trim().to_owned()
}
