//! Where control groups can be made, and making them.
//!
//! Version 1 has a hierarchy for memory and another for processes; version 2
//! has one for both, in which a group with processes of its own cannot bound
//! its children: there this process moves itself into a child first, which
//! works where its group was delegated to it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Lack;
use crate::store::blocking;

/// Where the hierarchies are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// How the names of our groups begin.
const PREFIX: &str = "envserve-";
/// What of version 2 we need.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
/// Of version 1: by it processes are stopped while they are written to disk.
const FREEZER: &str = "freezer.state";
/// Bounds of a group that is only tried out.
const TRIED: (u64, u64) = (64 << 20, 16);
const REMEDY: &str =
    "run envserve as root, or as a service of systemd with `Delegate=yes`, and nothing else in its group";

/// Numbers the groups of this process.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Where groups are made.
#[derive(Debug, Clone)]
pub(crate) struct Parents {
    memory: PathBuf,
    processes: PathBuf,
}

/// One group, in both hierarchies, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Directories {
    pub(crate) memory: PathBuf,
    pub(crate) processes: PathBuf,
}

impl Parents {
    /// Finds the group of this process. With version 2 it is in a child of that afterwards.
    ///
    /// # Errors
    /// When there is none, or it is not this process's to use.
    pub(crate) fn find() -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        Self::version_1(&own).or_else(|_| Version2::of(&own)?.enter())
    }

    fn version_1(own: &str) -> io::Result<Self> {
        let find = |controller: &str| {
            let path = own.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                controllers.split(',').any(|name| name == controller).then_some(path)
            });
            let path = path.ok_or(io::ErrorKind::NotFound)?;
            Ok::<_, io::Error>(Path::new(MOUNT).join(controller).join(path.trim_start_matches('/')))
        };
        Ok(Self { memory: find("memory")?, processes: find("pids")? })
    }

    /// Makes a group with these bounds.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn make(&self, memory_bytes: u64, processes: u64) -> io::Result<Directories> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let group = Directories { memory: self.memory.join(&name), processes: self.processes.join(&name) };
        make_directory(&group.memory)?;
        make_directory(&group.processes)?;
        fs::write(group.processes.join("pids.max"), processes.to_string())?;
        let bytes = memory_bytes.to_string();
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
    pub(crate) fn clear_stale(&self) {
        for parent in [&self.memory, &self.processes] {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
                let gone = |process: &str| {
                    process.bytes().all(|byte| byte.is_ascii_digit()) && !Path::new("/proc").join(process).exists()
                };
                if process.is_some_and(|(process, _)| gone(process)) {
                    drop(fs::remove_dir(entry.path()));
                }
            }
        }
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        // What still lives in it keeps it; the next executor removes it.
        drop(fs::remove_dir(&self.memory));
        drop(fs::remove_dir(&self.processes));
    }
}

/// The group of this process where there is version 2.
struct Version2 {
    parent: PathBuf,
    /// Which controllers its children had before.
    had: String,
}

impl Version2 {
    fn of(own: &str) -> io::Result<Self> {
        let path = own.lines().find_map(|line| line.strip_prefix("0::")).ok_or(io::ErrorKind::NotFound)?;
        let parent = Path::new(MOUNT).join(path.trim_start_matches('/'));
        let had = fs::read_to_string(parent.join("cgroup.subtree_control"))?;
        Ok(Self { parent, had })
    }

    fn leaf(&self) -> PathBuf {
        self.parent.join(format!("{PREFIX}daemon"))
    }

    /// Moves this process into a child, so that others can be bounded.
    fn enter(&self) -> io::Result<Parents> {
        let leaf = self.leaf();
        make_directory(&leaf)?;
        fs::write(leaf.join("cgroup.procs"), std::process::id().to_string())?;
        fs::write(self.parent.join("cgroup.subtree_control"), CONTROLLERS.map(|name| format!("+{name}")).join(" "))?;
        Ok(Parents { memory: self.parent.clone(), processes: self.parent.clone() })
    }

    /// Undoes that, as far as no other process has need of it.
    fn leave(&self) {
        for name in CONTROLLERS.iter().filter(|name| !self.had.split_whitespace().any(|had| had == **name)) {
            drop(fs::write(self.parent.join("cgroup.subtree_control"), format!("-{name}")));
        }
        drop(fs::write(self.parent.join("cgroup.procs"), std::process::id().to_string()));
        drop(fs::remove_dir(self.leaf()));
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Removes the groups of this name, which lie at the top of every hierarchy; most have none. Says whether none is left.
/// A process that was killed while its group was frozen dies only now.
pub(crate) fn remove(name: &str) -> bool {
    let hierarchies = fs::read_dir(MOUNT).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut gone = true;
    for hierarchy in hierarchies.chain([PathBuf::from(MOUNT)]) {
        let group = hierarchy.join(name);
        if group.join(FREEZER).exists() {
            drop(fs::write(group.join(FREEZER), "THAWED"));
        }
        let removed = fs::remove_dir(group);
        gone &= !removed.is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy);
    }
    gone
}

/// Removes the groups of containers whose names begin so and go on with the number of a process that is gone.
pub(crate) fn clear_dead(prefix: &str) {
    let prefix = format!("{PREFIX}{prefix}");
    let hierarchies = fs::read_dir(MOUNT).into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([PathBuf::from(MOUNT)]) {
        for entry in fs::read_dir(hierarchy).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let process = name.strip_prefix(&prefix).and_then(|rest| rest.split_once('-')).map(|(process, _)| process);
            let gone = |process: &str| process.parse::<u32>().is_ok() && !Path::new("/proc").join(process).exists();
            if process.is_some_and(gone) {
                remove(&name);
            }
        }
    }
}

/// Makes a group as an executor would, and removes it.
pub(super) async fn probe() -> Result<String, Lack> {
    let tried = blocking(try_out).await;
    tried.map_err(|error| Lack::new(format!("no control group can be made: {error}"), REMEDY))
}

fn try_out() -> io::Result<String> {
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let make = |parents: Parents| parents.make(TRIED.0, TRIED.1).map(drop);
    if let Ok(parents) = Parents::version_1(&own) {
        return make(parents).map(|()| "version 1".to_owned());
    }
    let group = Version2::of(&own)?;
    let made = group.enter().and_then(make);
    group.leave();
    made.map(|()| "version 2".to_owned())
}
