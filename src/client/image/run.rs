//! Running a command in an image on this host, until it ends.
//!
//! This process makes the namespaces, mounts, and looks after runc (container/mod.rs).

use std::io::IsTerminal;
use std::path::Path;

use super::root::RootFileSystem;
use crate::client::ClientError;
use crate::container::{
    Container, ContainerOptions, Directory, Mounted, Owner, Processes, Programs, World, command, wait,
};

/// Runs a command in a root file system and returns its exit code. This process must have no threads left, and is in
/// other namespaces afterwards.
///
/// # Errors
/// `Container` when a program is not installed, this host cannot do it, or the image does not say how.
pub fn run(root: &RootFileSystem, client: &Path, options: &ContainerOptions) -> Result<u8, ClientError> {
    let (image, root) = (root.config()?, root.directory());
    let programs = Programs::find()?;
    let owner = Owner::current()?;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let container = Container::new(&root, &image, options, owner, terminal)?;
    let mut directory = Directory::new(&client.join("runs"), "run-")?;
    let layer = directory.layer()?;
    let world = World::enter(owner, Processes::Own)?;
    // Dropped before the directory is.
    let mounted = Mounted::new(&[&root], &directory, &layer, options, &world)?;
    let bundle = mounted.write_bundle(&container, options, None)?;
    let command = command(&programs, Processes::Own, &bundle, &["run"], &directory.name());
    Ok(wait(command)?)
}
