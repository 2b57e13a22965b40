//! Input roots that stay on disk for the next actions that have the same.
//!
//! An action sees such a root through an overlay, as the lower layer, so it is
//! never written to. The ones used last are kept, within bounds; one that an
//! action uses stays until that has ended, however old it is.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use super::ExecuteError;
use super::host::Host;
use super::inputs::Inputs;
use crate::digest::Digest;
use crate::store::{LocalBlobStore, blocking, remove_tree};

/// Most input roots kept.
const MAX_ROOTS: usize = 64;
/// Most entries in all of them.
const MAX_ENTRIES: u64 = 1_000_000;
/// Most bytes in all of them.
const MAX_BYTES: u64 = 8 << 30;

/// The input roots kept, the one used last at the end.
#[derive(Default)]
pub(super) struct SharedInputs {
    kept: Mutex<VecDeque<Kept>>,
}

struct Kept {
    root: Digest,
    entries: u64,
    bytes: u64,
    directory: Cell,
}

type Cell = Arc<OnceCell<Arc<SharedRoot>>>;

/// An input root on disk. Dropping the last hold on it removes it in the background.
#[derive(Debug)]
pub(super) struct SharedRoot {
    path: PathBuf,
}

impl SharedRoot {
    /// Returns where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SharedRoot {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        let remove = move || {
            if let Err(error) = remove_tree(&path) {
                tracing::error!(%error, path = %path.display(), "cannot remove an input root");
            }
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(blocking(remove))),
            Err(_) => remove(),
        }
    }
}

impl SharedInputs {
    /// Says whether an overlay costs less than copies: it takes as long as some hundred small files.
    pub(super) fn worthwhile(inputs: &Inputs) -> bool {
        const FILES: u64 = 100;
        const BYTES: u64 = 16 << 20;
        (inputs.entries >= FILES || inputs.bytes >= BYTES) && inputs.entries <= MAX_ENTRIES && inputs.bytes <= MAX_BYTES
    }

    /// Returns the input root on disk: the one kept, or a new one, which those who ask at the same time wait for.
    ///
    /// # Errors
    /// As `Inputs::fill`.
    pub(super) async fn get(
        &self,
        store: &LocalBlobStore,
        host: &Arc<Host>,
        inputs: &Arc<Inputs>,
    ) -> Result<Arc<SharedRoot>, ExecuteError> {
        let (store, own, inputs, size) =
            (store.clone(), Arc::clone(host), Arc::clone(inputs), (inputs.entries, inputs.bytes));
        let made = self.get_made(inputs.root, size, host, async |root: Arc<SharedRoot>| {
            blocking(move || fill(&store, &own, &inputs, root.path()).map(|()| size)).await
        });
        made.await
    }

    /// Returns what is kept under a digest: what is there, or a new directory, for which `make` says how many entries and
    /// bytes there are when it has filled it. Those who ask at the same time wait for it.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) async fn get_made(
        &self,
        key: Digest,
        size: (u64, u64),
        host: &Host,
        make: impl AsyncFnOnce(Arc<SharedRoot>) -> Result<(u64, u64), ExecuteError>,
    ) -> Result<Arc<SharedRoot>, ExecuteError> {
        let cell = self.cell(key, size);
        let made = cell.get_or_try_init(async || {
            let parent = host.inputs();
            let directory = TempDir::new_in(&parent).map_err(ExecuteError::io("make a directory in", &parent))?;
            let root = Arc::new(SharedRoot { path: directory.keep() });
            let size = make(Arc::clone(&root)).await?;
            self.cell(key, size);
            Ok(root)
        });
        match made.await {
            Ok(root) => Ok(Arc::clone(root)),
            Err(error) => {
                self.kept().retain(|kept| !(Arc::ptr_eq(&kept.directory, &cell) && cell.get().is_none()));
                Err(error)
            }
        }
    }

    /// Returns the place for an input root, as the one used last, and lets go of those used longest ago.
    fn cell(&self, root: Digest, (entries, bytes): (u64, u64)) -> Cell {
        let mut kept = self.kept();
        let known = kept.iter().position(|kept| kept.root == root).and_then(|at| kept.remove(at));
        let mut last = known.unwrap_or_else(|| Kept { root, entries, bytes, directory: Arc::default() });
        (last.entries, last.bytes) = (last.entries.max(entries), last.bytes.max(bytes));
        let cell = Arc::clone(&last.directory);
        kept.push_back(last);
        let mut gone = Vec::new();
        while kept.len() > MAX_ROOTS
            || kept.iter().map(|kept| kept.entries).sum::<u64>() > MAX_ENTRIES
            || kept.iter().map(|kept| kept.bytes).sum::<u64>() > MAX_BYTES
        {
            gone.extend(kept.pop_front());
        }
        drop(kept);
        cell
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fill(store: &LocalBlobStore, host: &Host, inputs: &Inputs, root: &Path) -> Result<(), ExecuteError> {
    inputs.fill(store, host, root, host.same_user())?;
    host.give(root).map_err(ExecuteError::io("give away", root))?;
    fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .map_err(ExecuteError::io("set the mode of", root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestFunction;

    fn root(number: u64) -> Digest {
        DigestFunction::Sha256.digest(&number.to_le_bytes())
    }

    #[test]
    fn the_root_used_longest_ago_goes_first_and_the_bounds_hold() {
        let shared = SharedInputs::default();
        for number in 0..100 {
            shared.cell(root(number), (1, 1));
            shared.cell(root(0), (1, 1));
        }
        let kept: Vec<Digest> = shared.kept().iter().map(|kept| kept.root).collect();
        assert_eq!(kept.len(), MAX_ROOTS);
        assert_eq!(kept[MAX_ROOTS - 1], root(0));
        assert_eq!(kept[0], root(37));
        // As something turns out to be larger, others go.
        shared.cell(root(0), (1, MAX_BYTES));
        assert_eq!(shared.kept().len(), 1);
    }
}
