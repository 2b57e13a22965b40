//! Directories of this host that many specs have as roots.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::client::ClientError;
use crate::source::tree_id_of_path;
use crate::spec::GitId;
use crate::store::blocking;

/// The trees of directories, each hashed once: what changes in them later is not seen.
#[derive(Debug, Default)]
pub struct Directories {
    trees: Mutex<HashMap<PathBuf, Arc<OnceCell<GitId>>>>,
}

impl Directories {
    /// Returns the tree id of what a directory holds, or held when it was first asked for.
    pub(super) async fn tree(&self, path: PathBuf) -> Result<GitId, ClientError> {
        let named = path.clone();
        // One that does not exist is told of by whoever reads it.
        let real = blocking(move || named.canonicalize().unwrap_or(named)).await;
        let cell = self.cell(&real);
        let hash = || async { Ok(blocking(move || tree_id_of_path(&path)).await?) };
        cell.get_or_try_init(hash).await.copied()
    }

    fn cell(&self, path: &Path) -> Arc<OnceCell<GitId>> {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(trees.entry(path.to_owned()).or_default())
    }
}
