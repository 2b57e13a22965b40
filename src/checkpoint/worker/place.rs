//! Where the worker works: on a file system that takes id-mapped mounts, and upper layers of overlays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::WorkerError;
use crate::container::{ContainerOptions, Directory, Mounted, Programs, World};
use crate::host::cgroup;
use crate::store::remove_tree;

/// In the directory of the action.
const OWN: &str = "work";
/// Where else, if that is an overlay itself, say.
const OTHERS: [&str; 2] = ["/var/tmp/envserve-checkpoints", "/tmp/envserve-checkpoints"];
/// How the names of directories begin; the number of the process follows.
const PREFIX: &str = "checkpoint-";
/// Bytes that are told of what a program says.
const SAID: usize = 500;

/// The directory.
pub(super) struct Place {
    pub(super) directory: Directory,
}

impl Place {
    /// Finds one, by doing there what will be done.
    pub(super) fn find(action: &Path, world: &World) -> Result<Self, WorkerError> {
        // Those of workers that were killed.
        cgroup::clear_dead(PREFIX);
        let mut tried = Vec::new();
        let own = action.join(OWN);
        for parent in [own.as_path()].into_iter().chain(OTHERS.map(Path::new)) {
            match Self::make(parent, world) {
                Ok(place) => return Ok(place),
                Err(error) => tried.push(told(&error)),
            }
            clear(action);
        }
        Err(WorkerError::Place { reason: tried.join("; ") })
    }

    fn make(parent: &Path, world: &World) -> Result<Self, WorkerError> {
        let mut directory = Directory::new(parent, &format!("{PREFIX}{}-", std::process::id()))?;
        let root = root(&directory);
        fs::create_dir(&root).map_err(WorkerError::io("make the directory", &root))?;
        let layer = directory.layer()?;
        drop(Mounted::new(&[&root], &directory, &layer, &ContainerOptions::alone(), world)?);
        Ok(Self { directory })
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns where the root file system of the image lies.
    pub(super) fn root(&self) -> PathBuf {
        root(&self.directory)
    }

    /// Unpacks the root file system, with the owners that it has in the image.
    pub(super) fn unpack(&self, programs: &Programs, archive: &Path) -> Result<(), WorkerError> {
        let mut command = tar(programs);
        command.args(["--extract", "--same-permissions", "--same-owner", "--delay-directory-restore", "--file"]);
        command.arg(archive).arg("--directory").arg(self.root());
        run(command, "unpack the root file system")
    }
}

/// Removes what there is of ours in the directory of the action.
pub(super) fn clear(action: &Path) {
    match remove_tree(&action.join(OWN)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "cannot remove where the worker has worked");
        }
        _ => {}
    }
}

fn root(directory: &Directory) -> PathBuf {
    directory.path().join("image")
}

/// Returns the beginning of a command of GNU tar, which dies with this process.
pub(super) fn tar(programs: &Programs) -> Command {
    let mut command = Command::new(&programs.setpriv);
    command.args(["--pdeathsig", "KILL", "--", "tar", "--numeric-owner", "--xattrs", "--xattrs-include=*"]);
    command.env("LC_ALL", "C").env_remove("TAR_OPTIONS").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(super) fn run(mut command: Command, action: &'static str) -> Result<(), WorkerError> {
    let output = command.output().map_err(WorkerError::io("run", command.get_program().as_ref()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr[..output.stderr.len().min(SAID)]).trim().to_owned();
    Err(WorkerError::Tar { action, code: crate::container::code(output.status), said })
}

/// Returns an error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
