//! Control groups: one for each slot, made when it is first needed and used again.
//!
//! Version 1 has a hierarchy for memory and another for processes; version 2
//! has one for both, in which a group with processes of its own cannot bound
//! its children: there the executor moves itself into a child first, which
//! works where its group was delegated to it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limits::{Hit, Limits};

/// Where the hierarchies are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// How the names of our groups begin.
const PREFIX: &str = "envserve-";

/// Numbers the groups of this process.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The groups that are not in use.
#[derive(Clone)]
pub(super) struct Groups {
    parents: Arc<Parents>,
    free: Arc<Mutex<Vec<Directories>>>,
}

/// Where groups are made.
#[derive(Debug, Clone)]
struct Parents {
    memory: PathBuf,
    processes: PathBuf,
    limits: Limits,
}

/// One group, in both hierarchies.
#[derive(Debug)]
struct Directories {
    memory: PathBuf,
    processes: PathBuf,
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
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let parents = Parents::version_1(&own, limits).or_else(|_| Parents::version_2(&own, limits))?;
        parents.clear_stale();
        let groups = Self { parents: Arc::new(parents), free: Arc::default() };
        drop(groups.take()?);
        Ok(groups)
    }

    /// Takes a group that no action uses.
    ///
    /// # Errors
    /// When one has to be made and cannot.
    pub(super) fn take(&self) -> io::Result<Group> {
        let free = locked(&self.free).pop();
        let directories = free.map_or_else(|| self.parents.make(), Ok)?;
        let before = directories.counters();
        Ok(Group { directories: Some(directories), before, free: Arc::clone(&self.free) })
    }
}

impl Parents {
    fn version_1(own: &str, limits: &Limits) -> io::Result<Self> {
        let find = |controller: &str| {
            let path = own.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                controllers.split(',').any(|name| name == controller).then_some(path)
            });
            let path = path.ok_or(io::ErrorKind::NotFound)?;
            Ok::<_, io::Error>(Path::new(MOUNT).join(controller).join(path.trim_start_matches('/')))
        };
        Ok(Self { memory: find("memory")?, processes: find("pids")?, limits: limits.clone() })
    }

    fn version_2(own: &str, limits: &Limits) -> io::Result<Self> {
        let path = own.lines().find_map(|line| line.strip_prefix("0::")).ok_or(io::ErrorKind::NotFound)?;
        let parent = Path::new(MOUNT).join(path.trim_start_matches('/'));
        let leaf = parent.join(format!("{PREFIX}daemon"));
        make_directory(&leaf)?;
        fs::write(leaf.join("cgroup.procs"), std::process::id().to_string())?;
        fs::write(parent.join("cgroup.subtree_control"), "+memory +pids")?;
        Ok(Self { memory: parent.clone(), processes: parent, limits: limits.clone() })
    }

    fn make(&self) -> io::Result<Directories> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let group = Directories { memory: self.memory.join(&name), processes: self.processes.join(&name) };
        make_directory(&group.memory)?;
        make_directory(&group.processes)?;
        fs::write(group.processes.join("pids.max"), self.limits.processes.to_string())?;
        let bytes = self.limits.memory_bytes.to_string();
        if fs::write(group.memory.join("memory.max"), &bytes).is_ok() {
            // Without these swap would be used instead, and a killed process leave half an action behind.
            drop(fs::write(group.memory.join("memory.swap.max"), "0"));
            drop(fs::write(group.memory.join("memory.oom.group"), "1"));
        } else {
            fs::write(group.memory.join("memory.limit_in_bytes"), &bytes)?;
            // Not every kernel counts swap.
            drop(fs::write(group.memory.join("memory.memsw.limit_in_bytes"), &bytes));
        }
        Ok(group)
    }

    /// Removes the groups of processes that are gone.
    fn clear_stale(&self) {
        for parent in [&self.memory, &self.processes] {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
                if process.is_some_and(|(process, _)| !Path::new("/proc").join(process).exists()) {
                    drop(fs::remove_dir(entry.path()));
                }
            }
        }
    }
}

impl Directories {
    /// Returns how often something was killed for its memory, and how often a process was refused.
    fn counters(&self) -> (u64, u64) {
        let count = |path: PathBuf, name: &str| {
            let text = fs::read_to_string(path).ok()?;
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
        };
        let killed = count(self.memory.join("memory.events"), "oom_kill ")
            .or_else(|| count(self.memory.join("memory.oom_control"), "oom_kill "));
        let refused = count(self.processes.join("pids.events"), "max ");
        (killed.unwrap_or(0), refused.unwrap_or(0))
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        // What still lives in it keeps it; the next executor removes it.
        drop(fs::remove_dir(&self.memory));
        drop(fs::remove_dir(&self.processes));
    }
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
        let (killed, refused) = self.directories().counters();
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

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn locked(free: &Mutex<Vec<Directories>>) -> MutexGuard<'_, Vec<Directories>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}
