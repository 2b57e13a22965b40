//! The client: from a spec to a directory, fetching only what is missing.
//!
//! Sources are never fetched unless the server asks for a root that it does not
//! know and the spec says how to get. What is here already opens no connection.
//!
//! ```text
//! ROOT/blobs/          files by digest, shared by all environments (and with a private daemon)
//! ROOT/environments/   FUNCTION/HASH of the root Directory: materialised, read-only, never changed
//! ROOT/images/, oci/, docker-archives/    what there is of images (image/mod.rs)
//! ROOT/checkpoints/    what copies of services start from (checkpoint/mod.rs)
//! ROOT/instances/      the instances that run (src/instance/), and ROOT/runs/ what `envserve run` needs while it runs
//! ROOT/git/            Git objects of the roots that were fetched here
//! ROOT/store/          STORE of the closures of `nix` environments, unless another is named
//! ROOT/memo/           what was learned and cannot change: key → descriptor, commit → tree, …
//! ROOT/gcroots/        links that keep an environment
//! ROOT/private/        socket, lock and log of the private daemon
//! ```

mod amount;
mod brought;
mod checkpoint;
mod connect;
mod destination;
mod download;
mod enter;
mod error;
mod events;
mod explain;
mod fetch;
mod fill;
mod hint;
mod image;
mod install;
mod materialize;
mod memo;
mod missing;
mod nix;
mod pins;
mod placement;
mod plan;
mod prefill;
mod provide;
mod request;
mod roots;
mod sources;
mod unavailable;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use crate::source::{FetchOptions, Fetcher, Limits, Turns};
use crate::store::{FileBlobStore, GitStore, blocking};
use crate::transport::{Endpoint, Security};

pub use amount::Amount;
pub use checkpoint::{CheckpointError, Prepared};
pub use connect::Connection;
pub use enter::{Entered, entered};
pub use error::{ClientError, FailedBuild};
pub use events::{Event, Events, Quiet};
pub use explain::{Against, ComparedKey, ComponentDifference, Explanation, FirstPath, PathChange};
pub use fetch::{Fetched, Probed};
pub use image::{ImageError, Loader, RootFileSystem, install_root, name_of, run};
pub use install::{install, link};
pub use nix::{ClosureError, NixOutput, StoreRoot, Stored, enter};
pub use pins::{KeptEntries, KeptEntry};
pub use placement::{Placement, Start, View};
pub use plan::{FetchPlan, PlannedBuild, PlannedState};
pub use prefill::{Batch, Filled, PREFILL_PRIORITY, UnionPlan};
pub use request::{Building, Request};
pub use roots::Directories;
pub use sources::FetchedSource;
pub use unavailable::OnUnavailable;

use memo::Memo;
use roots::ROOTS_AT_ONCE;

/// How a client works.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Where it keeps everything.
    pub root: PathBuf,
    /// The server to ask; without one, a private daemon on `root`.
    pub serve: Option<Endpoint>,
    /// What is shown to that server, and whom to trust.
    pub security: Security,
    /// The same for the remote-execution endpoint whose CAS the server names.
    pub remote_security: Security,
    /// CRIU, where there is one.
    pub criu: Option<PathBuf>,
    /// The program to start as private daemon.
    pub program: PathBuf,
    /// Seconds after which an idle private daemon leaves.
    pub idle_seconds: u64,
    /// Variables that commands of `git tree` roots may inherit.
    pub environment: BTreeMap<String, String>,
    /// Directories in which files are looked for before they are fetched.
    pub distdirs: Vec<PathBuf>,
    /// Whether absent roots are fetched here when the server has no way to them.
    pub fetch_absent: bool,
    /// What archives may come to.
    pub limits: Limits,
    /// Of the actions of builds that this client asks for, as the REAPI has it: the lowest number runs first.
    pub priority: i32,
}

/// A client with its stores. Several processes may use one root at once.
pub struct Client {
    options: ClientOptions,
    memo: Memo,
    store: OnceCell<FileBlobStore>,
    git: OnceCell<GitStore>,
    connection: OnceCell<Connection>,
    fetcher: Fetcher,
    /// Who gives the server which root.
    providing: Turns,
}

impl Client {
    /// Returns a client. Nothing is opened or made before it is needed.
    pub fn new(options: ClientOptions) -> Self {
        let memo = Memo::new(options.root.join("memo"));
        let fetcher = Fetcher::new(FetchOptions::default());
        let (store, git, connection) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { options, memo, store, git, connection, fetcher, providing: Turns::new(ROOTS_AT_ONCE) }
    }

    /// Returns where the client keeps everything.
    pub fn root(&self) -> &Path {
        &self.options.root
    }

    /// Connects to the server, which is done when it is first needed otherwise.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn reach(&self) -> Result<(), ClientError> {
        self.connection().await.map(drop)
    }

    async fn store(&self) -> Result<&FileBlobStore, ClientError> {
        let open = || async {
            let root = self.options.root.clone();
            Ok(blocking(move || FileBlobStore::open(&root)).await?)
        };
        self.store.get_or_try_init(open).await
    }

    async fn git(&self) -> Result<&GitStore, ClientError> {
        let open = || async {
            let path = self.options.root.join("git");
            Ok(blocking(move || GitStore::open(&path, &[])).await?)
        };
        self.git.get_or_try_init(open).await
    }

    async fn connection(&self) -> Result<&Connection, ClientError> {
        self.connection.get_or_try_init(|| connect::connect(&self.options)).await
    }

    /// Returns those variables of the client's own environment that are named.
    fn inherited<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, String> {
        let own = &self.options.environment;
        names.into_iter().filter_map(|name| Some((name.clone(), own.get(name)?.clone()))).collect()
    }

    /// Returns what tells answers of this server from those of another.
    fn server(&self) -> String {
        self.options.serve.as_ref().map_or_else(|| "private".to_owned(), ToString::to_string)
    }
}
