//! Instances of environments: containers that run beside each other, each with a network and a writable layer of its own.
//!
//! ```text
//! ROOT/instances/lock              held while one is made, or those that were killed are cleared away
//! ROOT/instances/ID/lock           held as long as somebody looks after it
//!                  /state.json     what is known of it (state.rs)
//!                  /control        how to speak to the process that looks after it (control.rs)
//!                  /PORT.sock      leads to a port of it (ports.rs)
//!                  /log, log.old   what it says
//!                  /layer-N        what it writes
//! ```
//!
//! A process for each looks after it (supervise.rs), as long as the process lives to which it belongs (lease.rs).

mod control;
mod copy;
mod error;
mod held;
mod lease;
mod order;
mod plan;
mod ports;
mod state;
mod supervise;
mod up;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Time};

use rustix::io::Errno;
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::container::{Output, Programs, STATE, clear, is_held, wait};

pub use copy::Place;
pub use error::{Failure, InstanceError, Reason};
pub use held::Held;
pub use order::Order;
pub use state::{Address, Instance, STATE_VERSION, Status};
pub use supervise::supervise;
pub use up::up;

use control::{Request, ask};
use copy::{Side, on_host};

/// The hidden verb of the process that looks after an instance.
pub const SUPERVISE_VERB: &str = "supervise-instance";
/// Longest wait for threads of this process to end: only a process with one gets other mounts.
const THREADS_TIMEOUT: Duration = Duration::from_secs(2);
const THREADS_TICK: Duration = Duration::from_micros(50);

/// The instances of a client root.
#[derive(Debug, Clone)]
pub struct Instances {
    root: PathBuf,
}

/// A command that is run in an instance.
#[derive(Debug, Clone, Default)]
pub struct Execution {
    /// The command.
    pub command: Vec<String>,
    /// Variables that it has besides those of the instance.
    pub environment: Vec<(String, String)>,
    /// Where it starts, when not where the instance did.
    pub directory: Option<String>,
    /// Whether it has a terminal, which stdin is.
    pub terminal: bool,
}

impl Instances {
    /// Returns those of a client root.
    pub fn of(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn parent(&self) -> PathBuf {
        self.root.join("instances")
    }

    /// Returns all of them by their ids, after having cleared away what is left of those that were killed. Blocks.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn list(&self) -> Result<Vec<Instance>, InstanceError> {
        let parent = self.parent();
        if !parent.exists() {
            return Ok(Vec::new());
        }
        let _all = clear(&parent)?;
        let mut instances = Vec::new();
        for entry in fs::read_dir(&parent).map_err(InstanceError::io("read", &parent))?.flatten() {
            // One that goes in this moment is none.
            instances.extend(Instance::read(&entry.path()).ok().flatten());
        }
        instances.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(instances)
    }

    /// Returns the directory of an instance.
    fn directory(&self, id: &str) -> Result<PathBuf, InstanceError> {
        let directory = self.parent().join(id);
        let valid = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid && directory.is_dir() { Ok(directory) } else { Err(self.unknown(id)) }
    }

    fn unknown(&self, id: &str) -> InstanceError {
        InstanceError::Unknown { id: id.to_owned(), root: self.root.clone() }
    }

    /// Asks the process that looks after an instance, and returns the files that it answers with; none when it ended.
    fn ask(&self, id: &str, request: Request) -> Result<Option<Vec<OwnedFd>>, InstanceError> {
        let directory = self.directory(id)?;
        match ask(&directory, request) {
            Ok(Some((answer, files))) => match answer.failure {
                Some(failure) => Err(InstanceError::Failed(Box::new(failure))),
                None => Ok(Some(files)),
            },
            Ok(None) => Ok(None),
            // Nobody looks after it any more.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
                Err(self.unknown(id))
            }
            Err(error) => Err(InstanceError::io("speak to the instance in", &directory)(error)),
        }
    }

    /// Returns what one needs to get into an instance.
    fn enter(&self, id: &str) -> Result<[OwnedFd; 2], InstanceError> {
        let abandoned = || InstanceError::Abandoned { id: Some(id.to_owned()) };
        let files = self.ask(id, Request::Enter)?.ok_or_else(abandoned)?;
        files.try_into().map_err(|_| abandoned())
    }

    /// Starts an instance again from what it began with, with its ports. Blocks until it is ready.
    ///
    /// # Errors
    /// When there is no such instance, or it does not get ready; it is there all the same then.
    pub fn reset(&self, id: &str) -> Result<(), InstanceError> {
        let abandoned = || InstanceError::Abandoned { id: Some(id.to_owned()) };
        self.ask(id, Request::Reset)?.map(drop).ok_or_else(abandoned)
    }

    /// Takes an instance down. Blocks until it is gone.
    ///
    /// # Errors
    /// When there is no such instance.
    pub fn down(&self, id: &str) -> Result<(), InstanceError> {
        self.ask(id, Request::Down).map(drop)
    }

    /// Says whether somebody looks after an instance.
    pub fn is_there(&self, id: &str) -> bool {
        self.directory(id).is_ok_and(|directory| is_held(&directory))
    }

    /// Returns the files with what an instance has said, the older one first.
    ///
    /// # Errors
    /// When there is no such instance.
    pub fn output(&self, id: &str) -> Result<[PathBuf; 2], InstanceError> {
        let Output { newer, older } = Output::of(&self.directory(id)?);
        Ok([older, newer])
    }

    /// Copies a file, or a directory with everything in it, between this host and instances. Blocks.
    ///
    /// # Errors
    /// When there is no such instance, nothing to be copied, or a side refuses.
    pub fn copy(&self, from: &Place, to: &Place) -> Result<(), InstanceError> {
        let side = |place: &Place| match place {
            Place::Host(path) => Ok(on_host(path)),
            Place::Instance(id, path) => {
                let [_, root] = self.enter(id)?;
                Ok::<_, InstanceError>(Side { root: Some(root), path: path.clone() })
            }
        };
        copy::copy(&side(from)?, &side(to)?)
    }

    /// Runs a command in an instance and returns its exit code. This process must have no threads left, and is in other
    /// namespaces afterwards.
    ///
    /// # Errors
    /// When there is no such instance, or its command has ended.
    pub fn execute(&self, id: &str, execution: &Execution) -> Result<u8, InstanceError> {
        let programs = Programs::find()?;
        let [runc, _] = self.enter(id)?;
        enter(&runc).map_err(InstanceError::io("enter", &self.parent().join(id)))?;
        let mut command = tokio::process::Command::new(&programs.runc);
        command.args(["--root", STATE, "exec"]).args(execution.terminal.then_some("--tty"));
        let term = std::env::var("TERM").ok().filter(|_| execution.terminal).map(|term| ("TERM".to_owned(), term));
        for (name, value) in term.iter().chain(&execution.environment) {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        if let Some(directory) = &execution.directory {
            command.arg("--cwd").arg(directory);
        }
        command.arg("--").arg(id).args(&execution.command);
        Ok(wait(command)?)
    }
}

/// Moves this process to the mounts of a process, and its children to the processes that it sees.
fn enter(process: &OwnedFd) -> io::Result<()> {
    let kinds = ThreadNameSpaceType::MOUNT | ThreadNameSpaceType::PROCESS_ID;
    let deadline = Time::now() + THREADS_TIMEOUT;
    loop {
        match move_into_thread_name_spaces(process.as_fd(), kinds) {
            Err(Errno::INVAL) if Time::now() < deadline => std::thread::sleep(THREADS_TICK),
            other => return Ok(other?),
        }
    }
}
