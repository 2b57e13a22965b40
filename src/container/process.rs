//! The namespaces of containers, and their processes on this host.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Pid, Signal, getegid, geteuid, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use rustix::thread::UnshareFlags;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};

use super::mounts::{Bundle, refused};
use super::owner::Owner;
use super::{ContainerError, Programs};
use crate::host::FIRST_ID;
use crate::host::users::namespace;

/// Shows the processes of the new namespace, whose first one this is, and becomes the program that is named.
const FIRST: &str = r#"mount -t proc proc /proc && exec "$0" "$@""#;
/// Longest wait for threads of this process to end: only a process with one gets a namespace of users.
const THREADS_TIMEOUT: Duration = Duration::from_secs(2);
const THREADS_TICK: Duration = Duration::from_micros(50);
/// Those signals that go on to the command.
const FORWARDED: [(SignalKind, Signal); 6] = [
    (SignalKind::hangup(), Signal::HUP),
    (SignalKind::interrupt(), Signal::INT),
    (SignalKind::quit(), Signal::QUIT),
    (SignalKind::terminate(), Signal::TERM),
    (SignalKind::user_defined1(), Signal::USR1),
    (SignalKind::user_defined2(), Signal::USR2),
];
/// Those that a terminal sends to all processes in its foreground.
const OF_TERMINAL: [Signal; 2] = [Signal::INT, Signal::QUIT];

/// In which namespace of processes a process is, or makes the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processes {
    /// That of the host: each container gets another one.
    Host,
    /// Its children are in one of their own.
    Own,
}

/// What this process has entered to hold containers.
pub(crate) struct World {
    pub(super) owner: Owner,
    /// The namespace of users whose ids the container's are.
    pub(super) ids: Option<File>,
}

impl World {
    /// Moves this process to namespaces of its own: of mounts, for its children of processes if wanted, and for an
    /// ordinary user of users, where it is root.
    ///
    /// # Errors
    /// `Namespaces` when this host lets none be made.
    pub(crate) fn enter(owner: Owner, processes: Processes) -> Result<Self, ContainerError> {
        // A process of its own is needed for it, which must not be the first of the new namespace.
        let ids = if owner == Owner::Image { Some(user_namespace()?) } else { None };
        unshare(owner, processes)?;
        Ok(Self { owner, ids })
    }
}

/// Returns a namespace of users with the ids of this host that containers have.
fn user_namespace() -> Result<File, ContainerError> {
    let failed = |error| ContainerError::Namespaces { what: "namespace of users", source: io::Error::other(error) };
    namespace(FIRST_ID).map_err(failed)
}

fn unshare(owner: Owner, processes: Processes) -> Result<(), ContainerError> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let mut flags = UnshareFlags::NEWNS;
    if processes == Processes::Own {
        flags |= UnshareFlags::NEWPID;
    }
    if owner == Owner::User {
        flags |= UnshareFlags::NEWUSER;
    }
    let deadline = Instant::now() + THREADS_TIMEOUT;
    loop {
        #[expect(deprecated, reason = "unsound for tables of open files only, which stay shared")]
        match rustix::thread::unshare(flags) {
            Ok(()) => break,
            Err(Errno::INVAL) if Instant::now() < deadline => std::thread::sleep(THREADS_TICK),
            Err(error) => return Err(refused("namespaces", error)),
        }
    }
    if owner == Owner::User {
        for (file, text) in
            [("setgroups", "deny".to_owned()), ("uid_map", format!("0 {uid} 1")), ("gid_map", format!("0 {gid} 1"))]
        {
            let path = Path::new("/proc/self").join(file);
            let failed = |source| ContainerError::Namespaces { what: "namespace of users", source };
            fs::write(path, text).map_err(failed)?;
        }
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|error| refused("private mounts", error))
}

/// Returns the command that becomes runc, doing this for the container of a bundle, as the first process of a namespace
/// that dies with the thread that starts it.
pub(crate) fn command(
    programs: &Programs,
    processes: Processes,
    bundle: &Bundle,
    verb: &[&str],
    name: &str,
) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(&programs.setpriv);
    command.args(["--pdeathsig", "KILL", "--"]);
    match processes {
        Processes::Host => command.args(["unshare", "--mount-proc", "--pid", "--fork", "--kill-child", "--"]),
        Processes::Own => command.args(["/bin/sh", "-c", FIRST]),
    };
    command.arg(&programs.runc);
    command.arg("--root").arg(&bundle.state).args(verb).arg("--bundle").arg(&bundle.directory).arg(name);
    command
}

/// Runs a command with the signals that this process gets, and returns its exit code, which is 128 and the number of a
/// signal that killed it.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn wait(command: tokio::process::Command) -> Result<u8, ContainerError> {
    let program = PathBuf::from(command.as_std().get_program());
    let failed = |error| ContainerError::io("run", &program)(error);
    // No thread can be started any more: what they would be in is not what their children would be in.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let status = runtime.block_on(look_after(command)).map_err(failed)?;
    Ok(code(status))
}

/// Returns a process that becomes readable when it ends.
///
/// # Errors
/// When the system refuses.
pub(crate) fn watched(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(deprecated, reason = "unsound for files that somebody else may close only, and this one is owned")]
    AsyncFd::new(process)
}

/// Starts a process, and passes on signals until it ends.
async fn look_after(mut command: tokio::process::Command) -> io::Result<ExitStatus> {
    let mut signals = Vec::new();
    for (kind, passed) in FORWARDED {
        signals.push((signal(kind)?, passed));
    }
    let mut child = command.spawn()?;
    let process = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    loop {
        let received = std::future::poll_fn(|context| {
            let mut ready = signals
                .iter_mut()
                .filter_map(|(signal, passed)| signal.poll_recv(context).is_ready().then_some(*passed));
            ready.next().map_or(std::task::Poll::Pending, std::task::Poll::Ready)
        });
        tokio::select! {
            ended = child.wait() => return ended,
            passed = received => {
                let has_it = OF_TERMINAL.contains(&passed) && in_foreground();
                if let Some(process) = process.filter(|_| !has_it) {
                    // It can only fail because the process is dead.
                    let _dead = kill_process(process, passed);
                }
            }
        }
    }
}

/// Says whether the terminal sends what is typed as signals to this process, and to those that it has started.
fn in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
}

/// Returns the exit code of a command.
pub(crate) fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    status.code().or(signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
