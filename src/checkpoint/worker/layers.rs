//! The layers, as tar archives whose owners are those that the container has.
//!
//! On this host the container's users have other ids. An id-mapped mount that leads back shows the layer as the container
//! sees it, with all that the kernel keeps ids in: owners, and extended attributes of programs with capabilities.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use composefs_ioctls::mount::mount_setattr_idmap;
use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::WorkerError;
use super::place::{run, tar};
use crate::checkpoint::LAYER_PREFIX;
use crate::container::{ContainerError, Programs};
use crate::host::{FIRST_ID, users};

/// Writes the archives of upper layers, the lowest first. Sockets are left out.
pub(super) fn archive(programs: &Programs, uppers: &[PathBuf], to: &Path) -> Result<(), WorkerError> {
    if uppers.is_empty() {
        return Ok(());
    }
    let back = users::namespace_back(FIRST_ID);
    let back = back.map_err(|error| WorkerError::io("map the ids of", to)(std::io::Error::other(error)))?;
    for (number, upper) in uppers.iter().enumerate() {
        let shown = show(upper, &back)?;
        let mut command = tar(programs);
        command.args(["--create", "--format=pax", "--sort=name", "--sparse", "--warning=no-file-ignored", "--file"]);
        command.arg(to.join(format!("{LAYER_PREFIX}{number}.tar"))).arg("--directory");
        // It is mounted nowhere.
        command.arg(format!("/proc/{}/fd/{}", std::process::id(), shown.as_raw_fd())).arg(".");
        run(command, "archive a layer")?;
    }
    Ok(())
}

fn show(upper: &Path, back: &File) -> Result<OwnedFd, WorkerError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, upper, flags).map_err(|error| WorkerError::io("mount", upper)(error.into()))?;
    let shown = mount_setattr_idmap(&tree, back);
    shown.map_err(|source| ContainerError::IdMapped { path: upper.to_owned(), source })?;
    Ok(tree)
}
