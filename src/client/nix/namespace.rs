//! A private mount namespace in which a store lies at `/nix/store`.
//!
//! Bubblewrap makes it, around a shell that waits. This process then joins it, with the user namespace that goes with
//! it where the user is not root, and lets the shell end. So the command is not run by bubblewrap: it has the process,
//! the terminal, the user and the directory of the caller.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::client::ClientError;
use crate::host::find;
use crate::nix::STORE_DIRECTORY;

/// Says which process it is, and waits.
const HOLDER: &str = "echo $$ && read _";
/// Longest wait for threads of this process to end, which only one thread may outlive that joins a namespace.
const THREADS_TIMEOUT: Duration = Duration::from_secs(2);
const THREADS_TICK: Duration = Duration::from_micros(50);

/// Moves this process into a namespace in which the store `store` lies at `/nix/store`. It must be the only thread, or
/// soon become it.
///
/// # Errors
/// `Lacks` when bubblewrap is not installed, `Namespace` when the host lets no namespace be made.
pub fn enter(store: &Path) -> Result<(), ClientError> {
    let current = std::env::current_dir().map_err(ClientError::io("find", ".".as_ref()))?;
    let mut holder = Holder::start(store)?;
    let joined = holder.join();
    holder.end();
    joined?;
    std::env::set_current_dir(&current).map_err(ClientError::io("enter", &current))
}

/// The process around which the namespace is made.
struct Holder {
    process: Child,
    id: u32,
}

impl Holder {
    fn start(store: &Path) -> Result<Self, ClientError> {
        let lacks =
            ClientError::Lacks { program: "bwrap", package: "bubblewrap", purpose: "put a store at /nix/store" };
        let program = find("bwrap").ok_or(lacks)?;
        let mut command = Command::new(&program);
        command.env_clear().current_dir("/");
        add_host(&mut command).map_err(ClientError::io("read", "/".as_ref()))?;
        command.arg("--ro-bind").arg(store).arg(STORE_DIRECTORY);
        command.args(["--", "/bin/sh", "-c", HOLDER]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(ClientError::io("run", &program))?;
        match said(&mut process) {
            Ok(Some(id)) => Ok(Self { process, id }),
            Ok(None) => {
                let mut reason = String::new();
                if let Some(stderr) = process.stderr.take() {
                    // What cannot be read is not told.
                    drop(stderr.take(4096).read_to_string(&mut reason));
                }
                end(process);
                Err(ClientError::Namespace { reason: reason.trim().to_owned(), source: None })
            }
            Err(error) => {
                end(process);
                Err(ClientError::io("run", &program)(error))
            }
        }
    }

    /// Moves this process to where the holder is.
    fn join(&mut self) -> Result<(), ClientError> {
        let failed = |source: io::Error| ClientError::Namespace { reason: String::new(), source: Some(source) };
        let own = fs::read_link("/proc/self/ns/user").map_err(failed)?;
        let of_holder = |kind: &str| format!("/proc/{}/ns/{kind}", self.id);
        let mount = File::open(of_holder("mnt")).map_err(failed)?;
        if fs::read_link(of_holder("user")).map_err(failed)? != own {
            let user = File::open(of_holder("user")).map_err(failed)?;
            join(&user, LinkNameSpaceType::User).map_err(failed)?;
        }
        join(&mount, LinkNameSpaceType::Mount).map_err(failed)
    }

    fn end(self) {
        end(self.process);
    }
}

/// Lets the shell read the end of its input, and waits.
fn end(mut process: Child) {
    drop(process.stdin.take());
    // Nothing depends on how it ended.
    drop(process.wait());
}

/// Returns the process in the namespace, if it came up.
fn said(process: &mut Child) -> io::Result<Option<u32>> {
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("stdout was made a pipe")).read_line(&mut line)?;
    Ok(line.trim().parse().ok())
}

/// Joins a namespace as soon as this is the only thread.
fn join(namespace: &File, kind: LinkNameSpaceType) -> io::Result<()> {
    let deadline = Instant::now() + THREADS_TIMEOUT;
    loop {
        match move_into_link_name_space(namespace.as_fd(), Some(kind)) {
            Err(Errno::INVAL) if Instant::now() < deadline => std::thread::sleep(THREADS_TICK),
            other => return Ok(other?),
        }
    }
}

/// Shows everything of the host. Where it has no `/nix/store`, the top of the file system is made anew to have one.
fn add_host(command: &mut Command) -> io::Result<()> {
    if Path::new(STORE_DIRECTORY).is_dir() {
        command.args(["--dev-bind", "/", "/"]);
        return Ok(());
    }
    for entry in fs::read_dir("/")? {
        let path = entry?.path();
        if path == Path::new("/nix") {
            continue;
        }
        match fs::read_link(&path) {
            Ok(target) => command.arg("--symlink").arg(target).arg(&path),
            Err(_) => command.arg("--dev-bind").arg(&path).arg(&path),
        };
    }
    Ok(())
}
