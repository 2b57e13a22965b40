//! The client: from a spec to a directory, fetching only what is missing.
//!
//! This is what the command `envserve` does, for programs: a build tool asks here for an environment, and gets the
//! directory that it lies in, or the digest that a remote action has it by. Sources are never fetched unless the
//! server asks for a root that it does not know and the spec says how to get. What is here already opens no
//! connection.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use envserve::client::{Building, Client, ClientError, ClientOptions, Event, LocatedSpec, Placement, Probed, entered};
//!
//! # async fn example() -> Result<(), ClientError> {
//! // What ENVSERVE_ROOT and ENVSERVE_SERVE say; `ClientOptions::new(root)` asks nobody but a private daemon.
//! let client = Client::new(ClientOptions::of_environment()?);
//!
//! // From the spec to the key: roots become the ids of Git trees, the configuration what matters of it.
//! let events = |event: Event| eprintln!("{event:?}");
//! let LocatedSpec { spec, base } = LocatedSpec::read(Path::new("spec.json")).await?;
//! let request = client.request(spec, &base, Building::Allowed, &events).await?;
//! println!("key {}", request.parts.key());
//!
//! // Whether it is there; `plan` tells what would be built and moved.
//! let placement = Placement::default();
//! if client.probe(&request, &placement).await? == Probed::Miss {
//!     println!("has to be built");
//! }
//!
//! // For a remote action: the digest of its Directory, in the CAS of the endpoint. Nothing is downloaded.
//! let descriptor = client.fetch_absent(&request, &events).await?;
//! println!("{} {}", descriptor.root.function(), descriptor.root);
//!
//! // For an action on this host: where it lies, and what is set for those who enter it.
//! let fetched = client.fetch(&request, &placement, &events).await?;
//! let path = entered(&fetched)?.full_path(std::env::var_os("PATH"));
//! println!("{} PATH={}", fetched.directory.display(), path.display());
//! # Ok(())
//! # }
//! ```
//!
//! - **Runtime**: the futures need one of tokio with time and I/O, `Builder::enable_all`; one thread is enough. They may
//!   be dropped at any moment: what has arrived stays, and what was begun at the server goes on there.
//! - **Errors**: [`ClientError::kind`] tells what they mean for whoever asked, [`ClientError::hint`] what to do.
//! - **Events**: a closure, or any [`Events`], is told what happens.
//! - **One client for many requests**: a [`Client`] holds one connection, and may be used by many tasks at once. Several
//!   processes may use one root.
//! - **Stability**: what this module has, except the variants and fields of errors below those of [`ClientError`], keeps its
//!   meaning within a minor version of the crate. Everything else in the crate is part of the program, and may change.
//!
//! # Where things lie
//!
//! ```text
//! ROOT/blobs/          files by digest, shared by all environments (and with a private daemon)
//! ROOT/environments/   FUNCTION/HASH of the root Directory: materialised, read-only, never changed
//! ROOT/images/, oci/, docker-archives/    what there is of images
//! ROOT/checkpoints/    what copies of services start from
//! ROOT/instances/      the instances that run, and ROOT/runs/ what `envserve run` needs while it runs
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
mod located;
mod materialize;
mod memo;
mod missing;
mod moving;
mod nix;
mod options;
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
use std::path::Path;

use tokio::sync::OnceCell;

use crate::source::{FetchOptions, Fetcher, Turns};
use crate::store::{FileBlobStore, GitStore, blocking};

pub use amount::Amount;
pub use checkpoint::{CheckpointError, Prepared};
pub use enter::{Entered, entered};
pub use error::{ClientError, ErrorKind, FailedBuild};
pub use events::{Event, Events, Quiet};
pub use explain::{Against, ComparedKey, ComponentDifference, Explanation, FirstPath, PathChange};
pub use fetch::{Fetched, Probed};
pub use image::{ImageError, Loader, RootFileSystem, install_root, name_of, run};
pub use install::{install, link};
pub use located::LocatedSpec;
pub use nix::{ClosureError, NixOutput, StoreRoot, Stored, enter};
pub use options::{ClientOptions, OptionsError};
pub(crate) use options::{IDLE_SECONDS, default_root};
pub use pins::{KeptEntries, KeptEntry};
pub use placement::{Placement, Start, View};
pub use plan::{FetchPlan, PlannedBuild, PlannedState};
pub use prefill::{Batch, Filled, PREFILL_PRIORITY, UnionPlan};
pub use request::{Building, Request};
pub use roots::Directories;
pub use sources::FetchedSource;
pub use unavailable::OnUnavailable;

// What the above is made of, and lies on lower floors.
#[doc(inline)]
pub use crate::digest::{Digest, DigestFunction};
#[doc(inline)]
pub use crate::oci::{LayerCompression, OciDigest};
#[doc(inline)]
pub use crate::source::Limits;
#[doc(inline)]
pub use crate::spec::{
    CheckpointFacts, Config, Descriptor, EnvKey, FormName, GitId, ImageFacts, KeyParts, KindName, NixFacts, Provenance,
    Provides, Repository, ResolvedRepository, Root, Spec, SpecError, Target,
};
#[doc(inline)]
pub use crate::transport::{Endpoint, EndpointError, Headers, Identity, Security, SecurityError};

use connect::Connection;
use memo::Memo;
use roots::ROOTS_AT_ONCE;

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
