//! The database of a Nix store: what Nix has to be told of paths that it did not make itself.
//!
//! Nix loads what it is told unseen, so only what is there is registered, and nothing anew. Its garbage collector
//! removes what is not registered, so it is kept away, by its own lock, until that is done.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use super::store_root::StoreRoot;
use crate::client::ClientError;
use crate::client::install::{absolute_link, note_root};
use crate::digest::{Digest, DigestFunction};
use crate::host::find;
use crate::nix::{Registration, StorePath};
use crate::store::hash_reader;

const PROGRAM: &str = "nix-store";
/// Paths that are asked about at a time: the system bounds the length of a command line.
const ASKED: usize = 1000;
/// Variables by which Nix would work on another store.
const NOT_INHERITED: [&str; 6] =
    ["NIX_REMOTE", "NIX_STORE", "NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR", "NIX_LOCALSTATE_DIR"];

/// Keeps Nix's garbage collector away while it lives.
#[derive(Debug)]
pub(super) struct NoCollection {
    _lock: File,
}

/// The database of a store root.
#[derive(Debug)]
pub(super) struct NixDatabase {
    root: StoreRoot,
    program: PathBuf,
}

impl NixDatabase {
    /// Returns the database of a store root, which there may not be yet, or `None` when Nix is not installed.
    pub(super) fn new(root: &StoreRoot) -> Option<Self> {
        Some(Self { root: root.clone(), program: find(PROGRAM)? })
    }

    /// Returns those of the paths that are not registered.
    ///
    /// # Errors
    /// When Nix cannot tell.
    pub(super) fn unregistered(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeSet<StorePath>, ClientError> {
        if !self.root.has_database() {
            return Ok(paths.clone());
        }
        let mut unregistered = BTreeSet::new();
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        for asked in paths.chunks(ASKED) {
            let mut command = self.command();
            command.args(["--check-validity", "--print-invalid"]).args(asked);
            let said = self.run("ask", command, "")?;
            let said = said.lines().filter_map(|line| StorePath::parse(line).ok());
            unregistered.extend(said);
        }
        Ok(unregistered)
    }

    /// Registers paths that are there.
    ///
    /// # Errors
    /// When Nix refuses.
    pub(super) fn register(&self, registration: &Registration, paths: &BTreeSet<StorePath>) -> Result<(), ClientError> {
        if paths.is_empty() {
            return Ok(());
        }
        let mut command = self.command();
        command.arg("--load-db");
        self.run("register paths with", command, &registration.text(paths))?;
        Ok(())
    }

    /// Returns SHA-256 and size of the archive of what lies at a path.
    ///
    /// # Errors
    /// When Nix cannot read it.
    pub(super) fn archive(&self, path: &Path) -> Result<Digest, ClientError> {
        let failed = || ClientError::io("run", &self.program);
        let mut command = Command::new(&self.program);
        command.arg("--dump").arg(path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed())?;
        let hashed = hash_reader(DigestFunction::Sha256, &mut child.stdout.take().expect("stdout was made a pipe"));
        let status = child.wait().map_err(failed())?;
        if !status.success() {
            let (root, said) = (self.root.path().to_owned(), format!("`{}` cannot be read", path.display()));
            return Err(ClientError::NixDatabase { action: "compare with", root, said });
        }
        hashed.map_err(ClientError::io("read", path))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        if std::env::var_os("HOME").is_none() {
            command.env("HOME", "/");
        }
        // Not the daemon, which lets nobody register.
        let store = if self.root.path() == Path::new("/") { Path::new("local") } else { self.root.path() };
        command.arg("--store").arg(store).args(["--option", "build-users-group", ""]);
        command
    }

    /// Runs the program and returns what it prints.
    fn run(&self, action: &'static str, mut command: Command, input: &str) -> Result<String, ClientError> {
        let failed = ClientError::io("run", &self.program);
        let database = || self.root.path().to_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let ran = command.spawn().and_then(|mut child| {
            let mut stdin = child.stdin.take().expect("stdin was made a pipe");
            let written = stdin.write_all(input.as_bytes());
            drop(stdin);
            let output = child.wait_with_output()?;
            // One that fails does not read on, and says why.
            if output.status.success() { written.map(|()| output) } else { Ok(output) }
        });
        let output = ran.map_err(failed)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            let said = text(&output.stderr).trim().to_owned();
            return Err(ClientError::NixDatabase { action, root: database(), said });
        }
        Ok(text(&output.stdout))
    }
}

/// Keeps Nix's garbage collector away. Waits while it works.
///
/// # Errors
/// When its lock cannot be had: who may not collect may not register either.
pub(super) fn keep_from_collection(root: &StoreRoot) -> Result<NoCollection, ClientError> {
    let directory = root.path().join("nix/var/nix");
    fs::create_dir_all(&directory).map_err(ClientError::io("make the directory", &directory))?;
    let path = directory.join("gc.lock");
    let lock = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let lock = lock.map_err(ClientError::io("open", &path))?;
    flock(&lock, FlockOperation::LockShared).map_err(|error| ClientError::io("lock", &path)(error.into()))?;
    Ok(NoCollection { _lock: lock })
}

/// Makes a garbage collector's root for what the symlink `link` leads to.
///
/// In the store of the host it goes when the link does. Nix does not see where a link leads in another store, so there
/// the root itself keeps the path, until it is removed or the link is moved.
///
/// # Errors
/// When it cannot be made.
pub(super) fn add_root(root: &StoreRoot, path: &StorePath, link: &Path) -> Result<(), ClientError> {
    let link = absolute_link(link)?;
    let roots = root.path().join("nix/var/nix/gcroots");
    if root.path() == Path::new("/") {
        return note_root(&roots.join("auto"), &link, &link);
    }
    note_root(&roots.join("envserve"), &link, Path::new(&path.to_string()))
}
