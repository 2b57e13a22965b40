//! Directories of this host that many specs have as roots.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::client::ClientError;
use crate::spec::GitId;
use crate::store::blocking;

/// The trees of directories, each found once: what changes in them later is not seen.
#[derive(Debug, Default)]
pub struct Directories {
    trees: Mutex<HashMap<PathBuf, Arc<OnceCell<GitId>>>>,
}

impl Directories {
    /// Returns the tree id of a directory: as it was found before, or as it is found now.
    pub(super) async fn once<F>(&self, path: &Path, find: impl FnOnce() -> F) -> Result<GitId, ClientError>
    where
        F: Future<Output = Result<GitId, ClientError>>,
    {
        let named = path.to_owned();
        // One that does not exist is told of by whoever reads it.
        let real = blocking(move || named.canonicalize().unwrap_or(named)).await;
        self.cell(real).get_or_try_init(find).await.copied()
    }

    fn cell(&self, path: PathBuf) -> Arc<OnceCell<GitId>> {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(trees.entry(path).or_default())
    }
}
