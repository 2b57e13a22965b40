//! The store of a daemon, as the verbs that work on one share it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::absolute::absolute;
use super::client::root;
use super::error::CliError;
use crate::serve::{self, ServeError};
use crate::store::{LocalBlobStore, StoreOptions};

/// Where a daemon keeps everything.
#[derive(Debug, Clone, Args)]
pub(super) struct RootArguments {
    /// Where everything is kept [default: $XDG_CACHE_HOME/envserve-serve]
    #[arg(long, env = "ENVSERVE_SERVE_ROOT", value_name = "DIR")]
    root: Option<PathBuf>,
}

/// How much a store may take.
#[derive(Debug, Clone, Args)]
pub(super) struct SizeArguments {
    /// The most that the store may take on the disk, `100GiB` say. What was not used for longest goes first.
    /// Without it, the store may fill the disk but for a small part.
    #[arg(long, env = "ENVSERVE_MAX_SIZE", value_name = "SIZE")]
    max_size: Option<ByteSize>,

    /// Seconds within which what was used is never evicted.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    min_age_seconds: u64,
}

impl RootArguments {
    /// Returns where everything is kept.
    pub(super) fn path(&self) -> Result<PathBuf, CliError> {
        directory(self.root.as_deref(), "envserve-serve")
    }

    /// Opens the store of a daemon that does not run.
    pub(super) fn open(&self, options: StoreOptions) -> Result<LocalBlobStore, CliError> {
        let root = self.path()?;
        let failed = |source| ServeError::Open { root: root.clone(), source };
        Ok(serve::open_store(&root, options).map_err(failed)?)
    }
}

/// Returns where a server keeps everything: what was given, or the default, which has this name.
pub(super) fn directory(given: Option<&Path>, name: &str) -> Result<PathBuf, CliError> {
    match given {
        Some(given) => absolute(given),
        None => Ok(root(None)?.with_file_name(name)),
    }
}

impl SizeArguments {
    /// Returns how the store keeps its blobs.
    pub(super) fn options(&self) -> StoreOptions {
        StoreOptions { max_size: self.max_size(), grace: self.min_age(), shared: false }
    }

    /// Returns the most bytes that the store may take.
    pub(super) fn max_size(&self) -> Option<u64> {
        self.max_size.map(|size| size.as_u64())
    }

    /// Returns how long what was used stays.
    pub(super) fn min_age(&self) -> Duration {
        Duration::from_secs(self.min_age_seconds)
    }
}
