//! The directory in which one action runs, and its end.
//!
//! However an action ends, and when its future is dropped too: first every
//! process of it is dead, then the directory is removed, then the slot is free.
//!
//! ```text
//! root/            the input root, or the layer over a shared one
//! overlay/ merged/ the overlay's own, and where it is mounted, in the namespace of the launcher only
//! image/ image-overlay/ image-merged/  the same three for the image that it runs in
//! tmp/             seen as /tmp
//! service/         the instance of the service beside it (instance/mod.rs)
//! stdout stderr    what was captured
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::runtime::Handle;

use super::ExecuteError;
use super::cgroup::{Group, Groups};
use super::host::Host;
use super::layers::Layers;
use super::namespace::Namespace;
use super::queue::Slot;
use super::service::Beside;
use super::shared::SharedRoot;
use super::unconfined::Unconfined;
use crate::store::{blocking, remove_tree};

/// The layer over an image, what the overlay needs, and where it is mounted.
const IMAGE: &str = "image";
const IMAGE_OVERLAY: &str = "image-overlay";
const IMAGE_MERGED: &str = "image-merged";

/// A work directory. Dropping it kills what runs in it and removes it in the background.
pub(super) struct WorkDirectory {
    path: PathBuf,
    host: Arc<Host>,
    contents: Option<Contents>,
}

/// What has to go, in this order.
struct Contents {
    path: PathBuf,
    namespace: Option<Namespace>,
    unconfined: Option<Unconfined>,
    service: Option<Beside>,
    group: Option<Group>,
    shared: Option<Arc<SharedRoot>>,
    image: Option<Arc<SharedRoot>>,
    host: Arc<Host>,
    /// Whether an action has run since it was empty of them.
    used: bool,
    _slot: Slot,
}

impl WorkDirectory {
    /// Makes a work directory in the yard of the host, which holds the slot.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) async fn create(host: &Arc<Host>, slot: Slot) -> Result<Self, ExecuteError> {
        let yard = Arc::clone(host);
        let (path, group) = blocking(move || make(&yard)).await?;
        let contents = Contents {
            path: path.clone(),
            namespace: None,
            unconfined: None,
            service: None,
            group,
            shared: None,
            image: None,
            host: Arc::clone(host),
            used: false,
            _slot: slot,
        };
        Ok(Self { path, host: Arc::clone(host), contents: Some(contents) })
    }

    /// Returns where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the host it is on.
    pub(super) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Lays the work directory over a shared input root.
    ///
    /// # Errors
    /// When it cannot be made ready for that.
    pub(super) async fn cover(&mut self, shared: Arc<SharedRoot>) -> Result<(), ExecuteError> {
        if let Some(contents) = &mut self.contents {
            contents.shared = Some(shared);
        }
        let (host, path) = (Arc::clone(&self.host), self.path.clone());
        blocking(move || ["overlay", "merged"].iter().try_for_each(|name| make_for_action(&host, &path.join(name))))
            .await
    }

    /// Lays a directory of its own over the image that the action runs in, and returns both.
    ///
    /// # Errors
    /// When it cannot be made ready for that.
    pub(super) async fn cover_image(&mut self, shared: Arc<SharedRoot>) -> Result<Layers, ExecuteError> {
        let layers = Layers { upper: self.path.join(IMAGE), lower: Some(shared.path().to_owned()) };
        if let Some(contents) = &mut self.contents {
            contents.image = Some(shared);
        }
        let (host, path) = (Arc::clone(&self.host), self.path.clone());
        let names = [IMAGE, IMAGE_OVERLAY, IMAGE_MERGED];
        blocking(move || names.iter().try_for_each(|name| make_for_action(&host, &path.join(name)))).await?;
        Ok(layers)
    }

    /// Continues a command line so that what follows sees the image, and returns where, if the action runs in one.
    pub(super) fn add_image(&self, command: &mut Command) -> Option<PathBuf> {
        let lower = self.contents.as_ref()?.image.as_ref()?.path();
        let [upper, overlay, merged] = [IMAGE, IMAGE_OVERLAY, IMAGE_MERGED].map(|name| self.path.join(name));
        self.host.add_overlay(command, lower, &upper, &overlay, &merged);
        Some(merged)
    }

    /// Returns where the input root lies.
    pub(super) fn layers(&self) -> Layers {
        let shared = self.contents.as_ref().and_then(|contents| contents.shared.as_ref());
        Layers { upper: self.path.join("root"), lower: shared.map(|shared| shared.path().to_owned()) }
    }

    /// Returns the control group of the action, where the host has some.
    pub(super) fn group(&self) -> Option<&Group> {
        self.contents.as_ref()?.group.as_ref()
    }

    /// Takes charge of the processes that run in it.
    pub(super) fn occupy(&mut self, namespace: Namespace) {
        if let Some(contents) = &mut self.contents {
            contents.namespace = Some(namespace);
            contents.used = true;
        }
    }

    /// Takes charge of the service beside the action.
    pub(super) fn occupy_service(&mut self, service: Beside) -> Option<&mut Beside> {
        Some(self.contents.as_mut()?.service.insert(service))
    }

    /// Returns the service beside the action, if it has one.
    pub(super) fn service(&self) -> Option<&Beside> {
        self.contents.as_ref()?.service.as_ref()
    }

    /// Takes charge of processes without a namespace.
    pub(super) fn occupy_unconfined(&mut self, processes: Unconfined) {
        if let Some(contents) = &mut self.contents {
            contents.unconfined = Some(processes);
        }
    }

    /// Kills what runs in it and waits until it is dead.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(super) async fn evacuate(&mut self) -> io::Result<()> {
        match &mut self.contents {
            Some(contents) => contents.end().await,
            None => Ok(()),
        }
    }

    /// Removes it.
    ///
    /// # Cancel safety
    /// Once called, it is removed even if the future is dropped.
    pub(super) async fn close(mut self) {
        if let Some(contents) = self.contents.take() {
            // The task does not panic, and is cancelled only with the runtime.
            let _ended = tokio::spawn(contents.clear()).await;
        }
    }
}

impl Drop for WorkDirectory {
    fn drop(&mut self) {
        let Some(contents) = self.contents.take() else { return };
        if let Some(namespace) = &contents.namespace {
            namespace.kill();
        }
        if let Some(processes) = &contents.unconfined {
            processes.kill(contents.group.as_ref());
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(contents.clear());
        }
    }
}

impl Contents {
    async fn end(&mut self) -> io::Result<()> {
        if let Some(namespace) = &self.namespace {
            namespace.end().await?;
        }
        if let Some(processes) = &self.unconfined {
            processes.end(self.group.as_ref()).await?;
        }
        if let Some(service) = self.service.take() {
            service.end().await;
        }
        if std::mem::take(&mut self.used) {
            let (host, path) = (Arc::clone(&self.host), self.path.clone());
            blocking(move || host.reclaim(&path)).await?;
        }
        Ok(())
    }

    async fn clear(mut self) {
        if let Err(error) = self.end().await {
            tracing::error!(%error, "cannot tell whether the processes of an action are dead");
        }
        let path = self.path.clone();
        if let Err(error) = blocking(move || remove_tree(&path)).await {
            tracing::error!(%error, path = %self.path.display(), "cannot remove the work directory of an action");
        }
    }
}

fn make(host: &Host) -> Result<(PathBuf, Option<Group>), ExecuteError> {
    let parent = host.work();
    let directory = TempDir::new_in(&parent).map_err(ExecuteError::io("make a directory in", &parent))?;
    ["root", "tmp"].iter().try_for_each(|name| make_for_action(host, &directory.path().join(name)))?;
    set_mode(directory.path(), 0o711)?;
    let group = host.groups.as_ref().map(Groups::take).transpose();
    let group = group.map_err(ExecuteError::io("make a control group for", directory.path()))?;
    Ok((directory.keep(), group))
}

/// Makes a directory that belongs to the user of the action.
fn make_for_action(host: &Host, path: &Path) -> Result<(), ExecuteError> {
    fs::create_dir(path).map_err(ExecuteError::io("make the directory", path))?;
    set_mode(path, 0o755)?;
    host.give(path).map_err(ExecuteError::io("give away", path))
}

/// Sets a mode, whatever the umask.
fn set_mode(path: &Path, mode: u32) -> Result<(), ExecuteError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(ExecuteError::io("set the mode of", path))
}
