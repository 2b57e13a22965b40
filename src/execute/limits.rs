//! What one action may use, and how that is enforced before its command starts.
//!
//! Memory and processes are counted by control groups where this process may
//! make some (`cgroup.rs`): they bound all processes of the action together.
//! Elsewhere the first process gets resource limits that all others inherit:
//! the processes are counted by its user namespace, so still together, but
//! memory is then bounded for each process by itself.

use std::io;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::cgroup::Group;

/// Exit code of a shell whose command was killed for a file that grew too large.
const FILE_TOO_LARGE: i32 = 128 + 25;

/// What `ulimit -f` counts in.
const ULIMIT_BLOCK: u64 = 512;

/// What one action may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory of all its processes.
    pub memory_bytes: u64,
    /// Processes and threads at a time.
    pub processes: u64,
    /// Bytes of the largest file that it writes.
    pub file_bytes: u64,
    /// Bytes of all its output files.
    pub outputs_bytes: u64,
}

impl Default for Limits {
    /// An action may use most of the host, but not all of it.
    fn default() -> Self {
        let memory_bytes = host_memory_bytes().unwrap_or(8 << 30) / 8 * 7;
        Self { memory_bytes, processes: 4096, file_bytes: 64 << 30, outputs_bytes: 64 << 30 }
    }
}

fn host_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.saturating_mul(1024))
}

impl Limits {
    /// Returns what a shell has to run to bound the size of files for itself and all that it starts.
    pub(super) fn script(&self) -> String {
        format!("ulimit -c 0; ulimit -f {}", self.file_bytes.div_ceil(ULIMIT_BLOCK))
    }

    /// Bounds the memory and the processes of a process and all that it will start.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn impose(&self, process: i32, group: Option<&Group>) -> io::Result<()> {
        if let Some(group) = group {
            return group.admit(process);
        }
        let pid = Some(Pid::from_raw(process).ok_or(io::ErrorKind::InvalidData)?);
        for (resource, limit) in [(Resource::Data, self.memory_bytes), (Resource::Nproc, self.processes)] {
            let both = Rlimit { current: Some(limit), maximum: Some(limit) };
            // Only a root without its capabilities is refused, and is told what it does without.
            if let Err(error) = prlimit(pid, resource, both) {
                tracing::warn!(%error, ?resource, "an action runs without this limit");
            }
        }
        Ok(())
    }

    /// Says, for the log of an action that is over, which limits it has hit.
    pub(super) fn notice(&self, exit_code: Option<i32>, hit: Hit) -> String {
        let mut text = String::new();
        let mut say = |what: &str| text.push_str(&format!("[envserve: {what}]\n"));
        if hit.memory {
            say(&format!("killed: it used more than {} bytes of memory", self.memory_bytes));
        }
        if hit.processes {
            say(&format!("it was refused more than {} processes", self.processes));
        }
        if exit_code == Some(FILE_TOO_LARGE) {
            say(&format!("killed: it wrote a file of more than {} bytes", self.file_bytes));
        }
        text
    }
}

/// The limits of a control group that were hit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hit {
    /// Something was killed for the memory it used.
    pub(super) memory: bool,
    /// A process could not be started.
    pub(super) processes: bool,
}
