//! Environments of kind `nix`: a closure in a store, which is entered without Nix and may be registered with one.
//!
//! ```text
//! descriptor ─► registration, which names the paths ─► all here? ─────────────────────────► outputs
//!                                                        │ no                               ▲
//!                                                        ▼                                  │
//!                                listing ─► missing paths made beside ─► renamed ─► registered
//! ```

mod amount;
mod closure;
mod database;
mod doubt;
mod make;
mod namespace;
mod store_root;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::brought::Brought;
use super::connect::Reached;
use super::events::Events;
use super::placement::{Placement, View};
use super::{Client, ClientError};
use crate::digest::Digest;
use crate::nix::{Registration, StorePath};
use crate::spec::Descriptor;
use crate::store::{BlobStore, Listing, blocking};

pub use closure::{ClosureError, NixOutput};
pub use namespace::enter;
pub use store_root::StoreRoot;

use closure::{Closure, Facts};
use database::{NixDatabase, NoCollection, keep_from_collection};
use make::{Made, Make};

/// A closure that lies in a store.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The root of the store.
    pub root: StoreRoot,
    /// The outputs, at least one.
    pub outputs: Vec<NixOutput>,
    /// What is known of the paths.
    registration: Arc<Registration>,
    /// Where there is a database: nothing is collected before there is a root for it.
    _kept: Option<Arc<NoCollection>>,
}

/// Whether paths are registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registering {
    /// There is a database, or there shall be one.
    Yes,
    /// There is none.
    No,
}

impl Stored {
    /// Returns the store path of the first output.
    pub fn output(&self) -> &StorePath {
        &self.outputs[0].path
    }

    /// Returns where the first output lies on this host.
    pub fn directory(&self) -> PathBuf {
        self.root.real(self.output())
    }

    /// Returns the outputs, and where each lies on this host.
    pub fn places(&self) -> impl Iterator<Item = (&NixOutput, PathBuf)> {
        self.outputs.iter().map(|output| (output, self.root.real(&output.path)))
    }

    /// Returns the variables of the shell, for an environment that is one.
    pub(super) fn variables(&self, descriptor: &Descriptor) -> Result<Option<BTreeMap<String, String>>, ClientError> {
        Ok(facts(descriptor)?.variables)
    }

    /// Makes, or moves, the symlinks `link` to the first output and `link-NAME` to the others, and notes them as GC
    /// roots of the client at `root` and of the store's Nix. Blocks.
    ///
    /// # Errors
    /// `Occupied` when something that is no symlink stands there.
    pub fn link(&self, root: &Path, link: &Path) -> Result<(), ClientError> {
        for (at, output) in self.outputs.iter().enumerate() {
            let mut name = link.as_os_str().to_owned();
            if at > 0 {
                name.push(format!("-{}", output.name));
            }
            let link = Path::new(&name);
            if self.root.has_database() {
                database::add_root(&self.root, &output.path, link)?;
            }
            super::link(root, &self.root.real(&output.path), link)?;
        }
        Ok(())
    }

    /// Checks that a copy of the first output can do without the store.
    ///
    /// # Errors
    /// `NotAlone` when it refers to something there.
    pub fn check_alone(&self) -> Result<(), ClientError> {
        let output = self.output();
        let first = self.registration.references(output).next();
        match first {
            Some(path) => Err(ClientError::NotAlone { output: output.clone(), reference: path.clone() }),
            None => Ok(()),
        }
    }
}

impl Client {
    fn store_root(&self, placement: &Placement) -> StoreRoot {
        let default = || match placement.view {
            View::Dir | View::Oci | View::DockerArchive => self.root().join("store"),
            View::Nix => PathBuf::from("/"),
        };
        StoreRoot::new(placement.store.clone().unwrap_or_else(default))
    }

    /// Returns the closure if all of it is here.
    ///
    /// # Errors
    /// When that cannot be told, or Nix cannot be told.
    pub(super) async fn stored(
        &self,
        descriptor: &Descriptor,
        placement: &Placement,
    ) -> Result<Option<Stored>, ClientError> {
        let facts = facts(descriptor)?;
        let Some(digest) = self.memo.get::<Digest>(&subject(descriptor)) else { return Ok(None) };
        let store = self.store().await?.clone();
        let (root, placement, descriptor) = (self.store_root(placement), placement.clone(), descriptor.clone());
        blocking(move || {
            let Some(bytes) = store.read(&digest)? else { return Ok(None) };
            let registration = read(&descriptor, &facts, &bytes)?;
            // What is registered has to be asked of Nix, which is only done for who wants Nix's store.
            let registering = match placement.view {
                View::Nix => registering(&root, &placement)?,
                View::Dir | View::Oci | View::DockerArchive => Registering::No,
            };
            let kept = kept(&root, registering)?;
            if !root.missing(registration.paths())?.is_empty() {
                return Ok(None);
            }
            if registering == Registering::Yes {
                let all = registration.paths().cloned().collect();
                if !database(&root)?.unregistered(&all)?.is_empty() {
                    return Ok(None);
                }
            }
            Ok(Some(Stored { root, outputs: facts.outputs, registration: Arc::new(registration), _kept: kept }))
        })
        .await
    }

    /// Puts the closure into the store.
    ///
    /// # Errors
    /// When it is none, the store cannot be written to, or Nix refuses.
    ///
    /// # Cancel safety
    /// What has arrived stays; paths are there or not.
    pub(super) async fn put_into_store(
        &self,
        descriptor: &Descriptor,
        placement: &Placement,
        listing: Listing,
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Brought<Stored>, ClientError> {
        let facts = facts(descriptor)?;
        let closure = Closure::of(listing).map_err(unusable(descriptor))?;
        let store = self.store().await?;
        let digest = closure.registration;
        let bytes = match store.get(&digest).await? {
            Some(bytes) => Some(bytes),
            None => cas.blobs.get(&digest).await?,
        };
        let Some(bytes) = bytes else { return Ok(Brought::Lost(vec![digest])) };
        let registration = Arc::new(read(descriptor, &facts, &bytes)?);
        closure.check(&registration).map_err(unusable(descriptor))?;
        let root = self.store_root(placement);
        let registering = {
            let (store, root, placement) = (store.clone(), root.clone(), placement.clone());
            blocking(move || {
                let registering = registering(&root, &placement)?;
                store.write(&digest, &bytes)?;
                Ok::<_, ClientError>(registering)
            })
            .await?
        };
        let make = Make { root: root.clone(), registering, closure: &closure, registration: Arc::clone(&registration) };
        let (kept, downloaded) = match make.run(store, cas, events).await? {
            Made::Whole { kept, downloaded } => (kept, downloaded),
            Made::Lost(lost) => return Ok(Brought::Lost(lost)),
        };
        self.memo.put(&subject(descriptor), &digest);
        let stored = Stored { root, outputs: facts.outputs, registration, _kept: kept };
        Ok(Brought::Here { place: stored, downloaded })
    }
}

/// Under what it is noted which registration an environment has.
fn subject(descriptor: &Descriptor) -> [String; 2] {
    ["registration".to_owned(), format!("{:?}", descriptor.root)]
}

fn unusable(descriptor: &Descriptor) -> impl Fn(ClosureError) -> ClientError + use<> {
    let root = descriptor.root;
    move |source| ClientError::Closure { root, source }
}

fn facts(descriptor: &Descriptor) -> Result<Facts, ClientError> {
    let facts = Facts::of(descriptor).map_err(unusable(descriptor))?;
    facts.ok_or_else(|| unusable(descriptor)(ClosureError::NoOutput))
}

fn read(descriptor: &Descriptor, facts: &Facts, bytes: &[u8]) -> Result<Registration, ClientError> {
    let registration = Registration::parse(bytes).map_err(|error| unusable(descriptor)(error.into()))?;
    facts.check(&registration).map_err(unusable(descriptor))?;
    Ok(registration)
}

/// Decides whether paths are registered. A store that has a database never gets any that are not.
///
/// # Errors
/// `Lacks` when there is a database and no Nix.
fn registering(root: &StoreRoot, placement: &Placement) -> Result<Registering, ClientError> {
    let wanted = placement.view == View::Nix;
    if root.has_database() {
        return database(root).map(|_| Registering::Yes);
    }
    let installed = NixDatabase::new(root).is_some();
    if wanted && installed && placement.store.is_some() {
        return Ok(Registering::Yes);
    }
    if wanted {
        let why = if installed { "it has no database" } else { "there is no `nix-store` here" };
        tracing::warn!(store = %root.store().display(), why, "the paths are not registered with Nix");
    }
    Ok(Registering::No)
}

fn kept(root: &StoreRoot, registering: Registering) -> Result<Option<Arc<NoCollection>>, ClientError> {
    match registering {
        Registering::Yes => Ok(Some(Arc::new(keep_from_collection(root)?))),
        Registering::No => Ok(None),
    }
}

fn database(root: &StoreRoot) -> Result<NixDatabase, ClientError> {
    let lacks = ClientError::Lacks { program: "nix-store", package: "nix", purpose: "register paths" };
    NixDatabase::new(root).ok_or(lacks)
}
