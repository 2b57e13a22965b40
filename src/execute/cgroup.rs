//! Control groups: one for each slot, made when it is first needed and used again.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limits::{Hit, Limits};
use crate::host::cgroup::{Directories, Parents};

/// The groups that are not in use.
#[derive(Clone)]
pub(super) struct Groups {
    parents: Parents,
    limits: Limits,
    free: Arc<Mutex<Vec<Directories>>>,
}

/// A group in use by one action.
pub(super) struct Group {
    directories: Option<Directories>,
    before: (u64, u64),
    free: Arc<Mutex<Vec<Directories>>>,
}

impl Groups {
    /// Finds out whether this process can make groups, by making one.
    ///
    /// # Errors
    /// When it cannot.
    pub(super) fn open(limits: &Limits) -> io::Result<Self> {
        let parents = Parents::find()?;
        parents.clear_stale();
        let groups = Self { parents, limits: limits.clone(), free: Arc::default() };
        drop(groups.take()?);
        Ok(groups)
    }

    /// Takes a group that no action uses.
    ///
    /// # Errors
    /// When one has to be made and cannot.
    pub(super) fn take(&self) -> io::Result<Group> {
        let free = locked(&self.free).pop();
        let make = || self.parents.make(self.limits.memory_bytes, self.limits.processes);
        let directories = free.map_or_else(make, Ok)?;
        let before = counters(&directories);
        Ok(Group { directories: Some(directories), before, free: Arc::clone(&self.free) })
    }
}

/// Returns how often something was killed for its memory, and how often a process was refused.
fn counters(group: &Directories) -> (u64, u64) {
    let count = |path: PathBuf, name: &str| {
        let text = fs::read_to_string(path).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    let killed = count(group.memory.join("memory.events"), "oom_kill ")
        .or_else(|| count(group.memory.join("memory.oom_control"), "oom_kill "));
    let refused = count(group.processes.join("pids.events"), "max ");
    (killed.unwrap_or(0), refused.unwrap_or(0))
}

impl Group {
    fn directories(&self) -> &Directories {
        self.directories.as_ref().expect("it is taken only when the group is dropped")
    }

    /// Moves a process, which has started nothing yet, into the group.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn admit(&self, process: i32) -> io::Result<()> {
        let Directories { memory, processes } = self.directories();
        fs::write(memory.join("cgroup.procs"), process.to_string())?;
        if memory != processes {
            fs::write(processes.join("cgroup.procs"), process.to_string())?;
        }
        Ok(())
    }

    /// Returns the limits that were hit since the group was taken.
    pub(super) fn hit(&self) -> Hit {
        let (killed, refused) = counters(self.directories());
        Hit { memory: killed > self.before.0, processes: refused > self.before.1 }
    }

    /// Returns the processes that are in the group.
    pub(super) fn members(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.directories().processes.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(directories) = self.directories.take() {
            locked(&self.free).push(directories);
        }
    }
}

fn locked(free: &Mutex<Vec<Directories>>) -> MutexGuard<'_, Vec<Directories>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}
