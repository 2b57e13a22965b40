//! A container that runs until it is killed, with a network of its own, held by this process.
//!
//! ```text
//! this process ─► unshare ─► runc ─► the first process of the container
//!    └─ a thread in the container's network (inside.rs)
//! ```
//!
//! Each start has a new layer, so nothing is left of what was written before.

use std::fs;
use std::io::{self, PipeReader};
use std::iter::once;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixListener;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::hook::{Attached, Hook, attached};
use super::inside::{Entrance, Inside};
use super::output::{Output, keep};
use super::process::{code, watched};
use super::{
    Container, ContainerError, ContainerOptions, Directory, Mounted, Processes, Programs, World, command, memory,
};
use crate::spec::Ready;

/// How long the processes of a container may take to die.
const DEATH_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks whether a command has begun.
const TICK: Duration = Duration::from_millis(1);
/// How long what was said may take to arrive when nobody can say anything any more.
pub(super) const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// What is needed to start a container, again and again.
pub(crate) struct Service {
    pub(crate) programs: Programs,
    pub(crate) container: Container,
    pub(crate) options: ContainerOptions,
    /// The root file system of the image.
    pub(crate) root: PathBuf,
    /// What lies over it, the lowest layer first.
    pub(crate) layers: Vec<PathBuf>,
    pub(crate) world: World,
    /// This program, which runs as hook.
    pub(crate) program: PathBuf,
    pub(crate) directory: Directory,
}

/// How a container begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// With its command.
    Command,
    /// With the processes that were written to this directory.
    Memory(PathBuf),
}

/// A container that was started.
pub(crate) struct Running {
    pub(super) inside: Inside,
    child: Child,
    pub(super) process: AsyncFd<OwnedFd>,
    pub(super) runc: OwnedFd,
    pub(super) programs: Programs,
    /// What runc calls it.
    pub(super) name: String,
    /// Is there when the command has begun.
    begun: PathBuf,
    found: watch::Receiver<bool>,
    keeping: Option<JoinHandle<()>>,
    /// Dropped when the container is dead.
    pub(super) mounted: Mounted,
}

impl Service {
    /// Starts the container. With what was in memory, all its processes run when this returns.
    ///
    /// # Errors
    /// `NotStarted` when runc refuses, for which the output has the reason; `NotRestored` when CRIU does; else what this
    /// host refuses.
    ///
    /// # Cancel safety
    /// What was started dies.
    pub(crate) async fn start(
        &mut self,
        beginning: &Beginning,
        ready: Option<&Ready>,
    ) -> Result<Running, ContainerError> {
        let layer = self.directory.layer()?;
        let lowers: Vec<&Path> = once(&self.root).chain(&self.layers).map(PathBuf::as_path).collect();
        let mounted = Mounted::new(&lowers, &self.directory, &layer, &self.options, &self.world)?;
        let socket = mounted.place("hook");
        let listener = UnixListener::bind(&socket).map_err(ContainerError::io("listen on", &socket))?;
        let hook = Hook { program: self.program.clone(), socket: socket.clone() };
        let bundle = mounted.write_bundle(&self.container, &self.options, Some(&hook))?;
        let (name, begun) = (self.directory.name(), mounted.place("pid"));
        let verb = verb(beginning, &mounted, &begun);
        let verb: Vec<&str> = verb.iter().map(String::as_str).collect();
        let mut command = command(&self.programs, Processes::Host, &bundle, &verb, &name);
        if let Beginning::Memory(_) = beginning {
            memory::prepare_restore(&self.programs, &mounted, &mut command)?;
        }
        let output = Output::of(self.directory.path());
        let failed = || ContainerError::io("run", &self.programs.runc);
        let (reader, writer) = io::pipe().map_err(failed())?;
        let stderr = writer.try_clone().map_err(failed())?;
        command.stdin(Stdio::null()).stdout(writer).stderr(stderr).kill_on_drop(true);
        let mut child = command.spawn().map_err(failed())?;
        // It has the other ends of the pipe.
        drop(command);
        // What was in memory does not say again that it is ready: it was, and is when it runs.
        let found = matches!(beginning, Beginning::Memory(_));
        let keeping = keeping(reader, &output, ready, found).map_err(ContainerError::io("write", &output.newer));
        let (keeping, found) = keeping?;
        let started = async {
            let attached = accept(&listener).await;
            if let Beginning::Memory(_) = beginning {
                exists(&begun).await;
            }
            attached
        };
        let attached = tokio::select! {
            biased;
            attached = started => attached.map_err(ContainerError::io("listen on", &socket))?,
            ended = child.wait() => {
                let code = code(ended.map_err(failed())?);
                drop(timeout(OUTPUT_TIMEOUT, keeping).await);
                return Err(match beginning {
                    Beginning::Command => ContainerError::NotStarted { code },
                    Beginning::Memory(_) => memory::not_restored(&mounted),
                });
            }
        };
        let Attached { network, process, runc } = attached;
        let inside = Inside::enter(network).map_err(ContainerError::io("enter the network of", &self.root))?;
        let process = watched(process).map_err(failed())?;
        let (keeping, programs) = (Some(keeping), self.programs.clone());
        Ok(Running { inside, child, process, runc, programs, name, begun, found, keeping, mounted })
    }
}

/// Returns what runc is to do.
fn verb(beginning: &Beginning, mounted: &Mounted, begun: &Path) -> Vec<String> {
    let mut verb = match beginning {
        Beginning::Command => vec!["run".to_owned()],
        Beginning::Memory(images) => memory::verb("restore", images, mounted),
    };
    verb.extend(["--pid-file".to_owned(), begun.to_string_lossy().into_owned()]);
    verb
}

/// Keeps what the container says.
fn keeping(
    reader: PipeReader,
    output: &Output,
    ready: Option<&Ready>,
    found: bool,
) -> io::Result<(JoinHandle<()>, watch::Receiver<bool>)> {
    let text = match ready {
        Some(Ready::Log(text)) => text.clone(),
        _ => String::new(),
    };
    let (sender, found) = watch::channel(found);
    let pipe = Receiver::from_owned_fd(reader.into())?;
    let file = output.create()?;
    Ok((tokio::spawn(keep(pipe, output.clone(), file, text, sender)), found))
}

/// Waits for the hook.
async fn accept(listener: &UnixListener) -> io::Result<Attached> {
    let (stream, _) = listener.accept().await?;
    stream.async_io(Interest::READABLE, || attached(&stream)).await
}

/// Waits until a file is there.
async fn exists(path: &Path) {
    while !path.exists() {
        sleep(TICK).await;
    }
}

/// Returns the number of a process on this host.
pub(super) fn number(process: &OwnedFd) -> io::Result<u32> {
    let facts = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd()))?;
    let number = facts.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    number.ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Running {
    /// Returns the number of the container's first process on this host.
    ///
    /// # Errors
    /// When it is dead.
    pub(crate) fn process(&self) -> io::Result<u32> {
        number(self.process.get_ref())
    }

    /// Returns the runc that holds the container, in whose namespaces it is known.
    pub(crate) fn runc(&self) -> BorrowedFd<'_> {
        self.runc.as_fd()
    }

    /// Passes what comes in somewhere on to a port of the container.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub(crate) fn forward(&self, entrance: Entrance, port: u16) -> io::Result<()> {
        self.inside.forward(entrance, port)
    }

    /// Waits until the command has begun.
    pub(crate) async fn begun(&self) {
        exists(&self.begun).await;
    }

    /// Says whether the command has begun: when the container has ended without that, runc has refused it.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.exists()
    }

    /// Waits until the command is dead.
    pub(crate) async fn dead(&self) {
        // A process that cannot be watched is none.
        drop(self.process.readable().await);
    }

    /// Waits until the container has ended and returns the exit code of its command.
    ///
    /// # Errors
    /// When the system cannot tell.
    ///
    /// # Cancel safety
    /// It can be waited for again.
    pub(crate) async fn ended(&mut self) -> io::Result<u8> {
        let code = code(self.child.wait().await?);
        if let Some(keeping) = self.keeping.take() {
            drop(timeout(OUTPUT_TIMEOUT, keeping).await);
        }
        Ok(code)
    }

    /// Kills the container.
    pub(crate) async fn kill(mut self) {
        // runc, which sees that, removes what belongs to the container.
        let _dead = pidfd_send_signal(self.process.get_ref(), Signal::KILL);
        if timeout(DEATH_TIMEOUT, self.child.wait()).await.is_err() {
            // With its namespace.
            let _dead = pidfd_send_signal(&self.runc, Signal::KILL);
            drop(timeout(DEATH_TIMEOUT, self.child.wait()).await);
        }
    }

    /// Waits until the text that was looked for has been said.
    pub(super) async fn found(&self) {
        if self.found.clone().wait_for(|found| *found).await.is_err() {
            // Nothing is said any more.
            std::future::pending().await
        }
    }
}
