//! The directory in which one action runs, and its end.
//!
//! However an action ends, and when its future is dropped too: first every
//! process of it is dead, then the directory is removed, then the slot is free.
//!
//! ```text
//! root/            the input root, seen as /build
//! tmp/             seen as /tmp
//! etc/             the few files seen in /etc
//! stdout stderr    what was captured
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use super::ExecuteError;
use super::namespace::Namespace;
use super::sandbox::ETC_FILES;
use crate::store::{LocalBlobStore, blocking, remove_tree};

/// A work directory. Dropping it kills what runs in it and removes it in the background.
pub(super) struct WorkDirectory {
    path: PathBuf,
    contents: Option<Contents>,
}

/// What has to go, in this order.
struct Contents {
    path: PathBuf,
    namespace: Option<Namespace>,
    _slot: OwnedSemaphorePermit,
}

impl WorkDirectory {
    /// Makes a work directory on the file system of the store, which holds the slot.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) async fn create(store: &LocalBlobStore, slot: OwnedSemaphorePermit) -> Result<Self, ExecuteError> {
        let store = store.clone();
        let directory = blocking(move || {
            let directory = store.temporary_directory()?;
            for name in ["root", "tmp", "etc"] {
                let path = directory.path().join(name);
                fs::create_dir(&path).map_err(ExecuteError::io("make the directory", &path))?;
            }
            for (name, text) in ETC_FILES {
                let path = directory.path().join("etc").join(name);
                fs::write(&path, text).map_err(ExecuteError::io("write", &path))?;
            }
            Ok::<_, ExecuteError>(directory)
        })
        .await?;
        let path = directory.keep();
        let contents = Contents { path: path.clone(), namespace: None, _slot: slot };
        Ok(Self { path, contents: Some(contents) })
    }

    /// Returns where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where the input root lies.
    pub(super) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// Takes charge of the processes that run in it.
    pub(super) fn occupy(&mut self, namespace: Namespace) {
        if let Some(contents) = &mut self.contents {
            contents.namespace = Some(namespace);
        }
    }

    /// Kills what runs in it and waits until it is dead.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(super) async fn evacuate(&mut self) -> io::Result<()> {
        match self.contents.as_ref().and_then(|contents| contents.namespace.as_ref()) {
            Some(namespace) => namespace.end().await,
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
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(contents.clear());
        }
    }
}

impl Contents {
    async fn clear(self) {
        if let Some(namespace) = &self.namespace
            && let Err(error) = namespace.end().await
        {
            tracing::error!(%error, "cannot tell whether the processes of an action are dead");
        }
        let path = self.path.clone();
        if let Err(error) = blocking(move || remove_tree(&path)).await {
            tracing::error!(%error, path = %self.path.display(), "cannot remove the work directory of an action");
        }
    }
}
