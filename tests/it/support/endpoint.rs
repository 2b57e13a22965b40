//! Remote-execution endpoints: ours, and those of others.

use std::env;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use envserve::digest::DigestFunction;
use envserve::transport::{Link, Security};
use rustix::process::Signal;
use tempfile::TempDir;

use super::guard::{Guarded, processes, signal, until};
use super::{files, path};

/// Whose endpoint it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// BuildGrid with PostgreSQL and a worker of buildbox.
    BuildGrid,
    /// `justbuild execute`.
    Just,
    /// `buildbox-casd`, which executes as well.
    Casd,
    /// `envserve execute`.
    Own,
}

/// A running endpoint with a storage of its own, gone when dropped.
pub(crate) struct Endpoint {
    pub(crate) kind: Kind,
    pub(crate) address: String,
    directory: TempDir,
    /// What its workers find in `/usr/local/sbin`, if that is not what the host has there.
    programs: Option<PathBuf>,
    running: Option<Guarded>,
}

/// Puts the directory `$1` into the place of `/usr/local/sbin`, for what follows only.
const WITH_PROGRAMS: &str = r#"mount --bind "$1" /usr/local/sbin && shift && exec "$@""#;

impl Endpoint {
    /// Starts one on a free port.
    pub(crate) fn start(kind: Kind) -> Self {
        Self::start_with(kind, None)
    }

    /// Starts one whose workers find these programs in `/usr/local/sbin`, which takes a root that may mount.
    pub(crate) fn start_with(kind: Kind, programs: Option<PathBuf>) -> Self {
        // PostgreSQL has a user of its own, who has to get there.
        let directory = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o711)).tempdir();
        let address = free_address();
        let mut endpoint = Self { kind, address, directory: directory.expect("temporary"), programs, running: None };
        endpoint.start_again();
        endpoint
    }

    /// Calls a function with a running endpoint: one of its own, except for BuildGrid, which takes seconds to start,
    /// so that its users take turns with one.
    pub(crate) fn with(kind: Kind, function: impl FnOnce(&mut Self)) {
        static SHARED: Mutex<Option<Endpoint>> = Mutex::new(None);
        if kind != Kind::BuildGrid {
            return function(&mut Self::start(kind));
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = shared.get_or_insert_with(|| Self::start(kind));
        if endpoint.running.is_none() {
            endpoint.start_again();
        }
        function(endpoint);
    }

    /// Returns a connection to it.
    pub(crate) fn link(&self) -> Link {
        Link::new(&self.address.parse().expect("an address"), &Security::default()).expect("an address")
    }

    /// Kills it at once, with all that it has started.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it on the port and the storage that it had.
    pub(crate) fn start_again(&mut self) {
        let log = self.directory.path().join("log");
        drop(fs::remove_file(&log));
        let mut running = Guarded::start(&mut self.command(), self.directory.path(), &log);
        until("the endpoint is up", || {
            assert!(running.runs(), "{:?} did not start:\n{}", self.kind, self.log());
            let ready = match self.kind {
                Kind::BuildGrid => self.log().lines().any(|line| line == "ready"),
                _ => TcpStream::connect(&self.address).is_ok(),
            };
            ready.then_some(())
        });
        self.running = Some(running);
    }

    /// Returns what it has logged since it was started.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn command(&self) -> Command {
        let storage = self.storage();
        let temporary = self.directory.path().join("tmp");
        fs::create_dir_all(&temporary).expect("temporary");
        let (host, port) = self.address.split_once(':').expect("HOST:PORT");
        let mut command = match self.kind {
            Kind::BuildGrid => {
                let cluster = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/cluster");
                let mut command = Command::new("env");
                if let Some(programs) = &self.programs {
                    command.args(["unshare", "--mount", "sh", "-c", WITH_PROGRAMS, "sh"]).arg(programs);
                }
                command.arg(cluster).arg(port).arg(&storage);
                command
            }
            Kind::Just => {
                let mut command = Command::new(program("justbuild"));
                command.args(["execute", "--compatible", "-i", host, "-p", port, "--plain-log", "--local-build-root"]);
                command.arg(&storage);
                command
            }
            Kind::Casd => {
                let mut command = Command::new(program("buildbox-casd"));
                let mut runner = std::ffi::OsString::from("--buildbox-run=");
                runner.push(program("buildbox-run-hosttools"));
                command.arg(format!("--bind={}", self.address)).arg(runner).arg(&storage);
                command
            }
            Kind::Own => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_envserve"));
                command.args(["execute", "--listen", &self.address, "--root"]).arg(&storage);
                command
            }
        };
        fs::create_dir_all(&storage).expect("temporary");
        command.env("TMPDIR", temporary).current_dir(self.directory.path());
        command
    }

    fn storage(&self) -> PathBuf {
        self.directory.path().join("storage")
    }

    /// Loses the blob of this content, and returns what it may be called. Our own endpoint keeps one as a file only
    /// when it is larger than 16 KiB.
    pub(crate) fn lose(&self, content: &[u8]) -> [String; 2] {
        let names = [DigestFunction::Sha256, DigestFunction::Blake3].map(|function| function.digest(content).hash());
        let is_of_it = |path: &PathBuf| {
            let path = path.to_string_lossy().replace('/', "");
            names.iter().any(|name| path.contains(&**name))
        };
        let found: Vec<PathBuf> = files(&self.storage()).into_iter().filter(is_of_it).collect();
        assert!(!found.is_empty(), "no file holds a blob of {} bytes", content.len());
        found.iter().for_each(|path| fs::remove_file(path).expect("there"));
        names
    }

    /// Says whether an action runs `sleep` for this time.
    pub(crate) fn has_action(&self, seconds: &str) -> bool {
        !sleeping(seconds).is_empty()
    }

    /// Kills what runs the action that runs `sleep` for this time: the worker, where there is one.
    pub(crate) fn kill_worker(&self, seconds: &str) {
        let action = until_one_sleeps(seconds);
        if self.kind == Kind::BuildGrid {
            let address = format!("--bots-remote=http://{}", self.address);
            let workers = processes(|line| line.contains(&address));
            workers.iter().for_each(|worker| signal(worker, Signal::KILL));
        }
        let status = fs::read_to_string(format!("/proc/{action}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default();
        [parent.trim(), &action].iter().for_each(|process| signal(process, Signal::KILL));
        until("the action is gone", || (!sleeping(seconds).contains(&action)).then_some(()));
    }

    /// Lets the action go on that runs `sleep` for this time.
    pub(crate) fn wake_action(&self, seconds: &str) {
        signal(&until_one_sleeps(seconds), Signal::TERM);
    }
}

/// Returns the processes that sleep for this time.
fn sleeping(seconds: &str) -> Vec<String> {
    let line = format!("sleep {seconds}");
    processes(|running| running == line)
}

fn until_one_sleeps(seconds: &str) -> String {
    until(&format!("an action runs `sleep {seconds}`"), || sleeping(seconds).pop())
}

/// Returns where a program is that `.ci/setup test` installs.
pub(crate) fn program(name: &str) -> PathBuf {
    let found = path().into_iter().map(|directory| directory.join(name)).find(|program| program.exists());
    found.unwrap_or_else(|| panic!("`{name}` is not installed: run `.ci/setup test`"))
}

/// Returns an address where nobody listens, out of the range from which the system takes ports for those who connect.
fn free_address() -> String {
    loop {
        let address = format!("127.0.0.1:{}", fastrand::u16(20_000..32_000));
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}
