//! Checkpoints on a client: what copies of a service start from on this host, in directories.
//!
//! ```text
//! ROOT/checkpoints/FUNCTION/HASH/layers/NNN       what the service had written, as upper layers of overlays
//!                              …/memory/images/   what CRIU wrote (memory.rs)
//! ROOT/checkpoints/blobs/                         the same compressed, in pieces that checkpoints share
//! ```
//!
//! The image below is the one that `fetch` makes of its environment (image/mod.rs). Only what the chosen form needs is
//! downloaded. All of it is as secret as what the service had in its memory: `ROOT/checkpoints` is open to root alone.
//! CRIU, which is root, is given the directory itself; mounts are made by root as well.

mod error;
mod here;
mod memory;
#[cfg(test)]
mod tests;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::brought::Brought;
use super::connect::Reached;
use super::events::Events;
use super::image::{Parts, RootFileSystem, TreeStore};
use super::placement::{Placement, Start};
use super::{Client, ClientError, Request};
use crate::checkpoint::{Choice, Stored, choose};
use crate::container::Owner;
use crate::digest::Digest;
use crate::oci::StoredLayer;
use crate::spec::{CheckpointFacts, Descriptor, Form, FormName};
use crate::store::{Directories, FileBlobStore, blocking};

pub use error::CheckpointError;

use memory::Memory;

/// Everything on this host from which copies of a service start.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What the descriptor says.
    pub facts: CheckpointFacts,
    /// The form in which they start, and why.
    pub choice: Choice,
    /// Where the checkpoint lies.
    pub directory: PathBuf,
    /// The root file system of the image.
    pub root: PathBuf,
    /// The configuration of the image.
    pub config: PathBuf,
    /// What lies over the image in this form, the lowest layer first.
    pub layers: Vec<PathBuf>,
    /// What CRIU wrote, for the form `memory`.
    pub images: Option<PathBuf>,
}

/// A checkpoint that is wanted.
struct Wanted<'a> {
    descriptor: &'a Descriptor,
    facts: &'a CheckpointFacts,
    choice: Choice,
}

impl Client {
    /// Returns what copies of a service start from on this host: in the fastest form, or in the one that is wished
    /// for. It is built first if the server does not have it.
    ///
    /// # Errors
    /// `Choice` when the wish cannot be granted, `View` when it is no checkpoint; else as `fetch`.
    ///
    /// # Cancel safety
    /// What has arrived stays; the next call goes on from there.
    pub async fn fetch_checkpoint(
        &self,
        request: &Request,
        wish: Option<FormName>,
        events: &dyn Events,
    ) -> Result<Prepared, ClientError> {
        let placement = Placement { start: wish.map_or(Start::Fastest, Start::In), ..Placement::default() };
        let fetched = self.fetch(request, &placement, events).await?;
        let kind = fetched.descriptor.kind;
        fetched.checkpoint.ok_or(ClientError::View { view: "checkpoint", kind })
    }

    async fn wanted<'a>(
        &self,
        descriptor: &'a Descriptor,
        facts: &'a CheckpointFacts,
        start: Start,
    ) -> Result<Wanted<'a>, ClientError> {
        if Owner::current()? != Owner::Image {
            return Err(ClientError::OnlyRoot);
        }
        let wish = match start {
            Start::In(form) => Some(form),
            Start::Fastest | Start::Never => None,
        };
        // It takes a while to find.
        let here = match facts.made.memory {
            Form::Published { .. } => self.fingerprint().await,
            Form::Refused { .. } => Err(String::new()),
        };
        let choice = choose(facts, here.as_ref().map_err(String::as_str), wish)?;
        Ok(Wanted { descriptor, facts, choice })
    }

    /// Returns what is wanted of a checkpoint if all of it is here.
    pub(super) async fn present_checkpoint(
        &self,
        descriptor: &Descriptor,
        facts: &CheckpointFacts,
        start: Start,
    ) -> Result<Option<Prepared>, ClientError> {
        let wanted = self.wanted(descriptor, facts, start).await?;
        let Some(image) = self.memo.get::<Digest>(&subject(descriptor)) else { return Ok(None) };
        let prepared = self.prepared(&wanted, &image);
        blocking(move || Ok(prepared.is_whole().then_some(prepared))).await
    }

    fn prepared(&self, wanted: &Wanted, image: &Digest) -> Prepared {
        let Wanted { descriptor, facts, choice } = wanted;
        let root = RootFileSystem::of(self.root(), image, Owner::Image);
        let directory = home(self.root(), &descriptor.root);
        let memory = (choice.form == FormName::Memory).then(|| Memory::of(&directory).images());
        Prepared {
            facts: (*facts).clone(),
            choice: choice.clone(),
            root: root.directory(),
            config: root.config_file(),
            layers: (0..choice.layers).map(|number| layer(&directory, number)).collect(),
            images: memory,
            directory,
        }
    }

    /// Brings what is wanted of a checkpoint to this host.
    ///
    /// # Errors
    /// `Checkpoint` when it cannot be used; else what stood in the way.
    ///
    /// # Cancel safety
    /// What has arrived stays.
    pub(super) async fn bring_checkpoint(
        &self,
        descriptor: &Descriptor,
        facts: &CheckpointFacts,
        start: Start,
        tree: &[u8],
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Brought<Prepared>, ClientError> {
        let wanted = self.wanted(descriptor, facts, start).await?;
        let (root, store) = (descriptor.root, self.store().await?);
        let unusable = CheckpointError::of(root);
        let read = read(root, tree, store).await;
        let (directories, stored) = read.map_err(&unusable)?;
        let (needed, found) = (wanted.choice.layers, stored.layers.len());
        if needed > found {
            return Err(unusable(CheckpointError::Layers { needed, found }));
        }
        let prepared = self.prepared(&wanted, &stored.image);
        let (top, place) = (self.root().to_owned(), prepared.directory.clone());
        blocking(move || make_home(&top, &place)).await?;
        let parts = Parts::at(stored.image, &facts.image, directories.clone(), store).await?;
        let mut downloaded =
            match self.bring_upper_layers(&parts, &stored.layers, &prepared.layers, cas, events).await? {
                Brought::Here { downloaded, .. } => downloaded,
                Brought::Lost(lost) => return Ok(Brought::Lost(lost)),
            };
        if prepared.images.is_some() {
            let memory = stored.memory.ok_or_else(|| unusable(CheckpointError::NoMemory))?;
            let listing = directories.listing(memory).map_err(CheckpointError::from).map_err(unusable)?;
            match self.bring_memory(root, &prepared.directory, listing, cas, events).await? {
                Brought::Here { downloaded: memory, .. } => downloaded += memory,
                Brought::Lost(lost) => return Ok(Brought::Lost(lost)),
            }
        }
        if !prepared.root.is_dir() {
            match self.bring_root(parts, cas, events).await? {
                Brought::Here { downloaded: image, .. } => downloaded += image,
                Brought::Lost(lost) => return Ok(Brought::Lost(lost)),
            }
        }
        self.memo.put(&subject(descriptor), &stored.image);
        Ok(Brought::Here { place: prepared, downloaded })
    }

    /// Makes the lowest of some layers at these places.
    async fn bring_upper_layers(
        &self,
        parts: &Parts,
        layers: &[StoredLayer],
        places: &[PathBuf],
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Brought<()>, ClientError> {
        let mut downloaded = 0;
        for (number, place) in places.iter().enumerate().filter(|(_, place)| !place.is_dir()) {
            match self.bring_layer(parts, &layers[..=number], place, cas, events).await? {
                Brought::Here { downloaded: layer, .. } => downloaded += layer,
                Brought::Lost(lost) => return Ok(Brought::Lost(lost)),
            }
        }
        Ok(Brought::Here { place: (), downloaded })
    }
}

impl Prepared {
    /// Says whether all of it is here. Blocks.
    fn is_whole(&self) -> bool {
        let layers = self.layers.iter().all(|layer| layer.is_dir());
        let memory = || self.images.is_none() || Memory::of(&self.directory).is_whole();
        self.root.is_dir() && layers && memory()
    }
}

/// Reads the tree of a checkpoint.
async fn read(root: Digest, tree: &[u8], store: &FileBlobStore) -> Result<(Directories, Stored), CheckpointError> {
    let directories = Directories::parse(root.function(), tree)?;
    let blobs = TreeStore { directories: directories.clone(), store: store.clone() };
    let stored = Stored::read(&blobs, root).await?;
    Ok((directories, stored))
}

/// Under what the tree of the image below a checkpoint is noted.
fn subject(descriptor: &Descriptor) -> [String; 2] {
    ["image of checkpoint".to_owned(), format!("{:?}", descriptor.root)]
}

fn checkpoints(client: &Path) -> PathBuf {
    client.join("checkpoints")
}

fn home(client: &Path, root: &Digest) -> PathBuf {
    checkpoints(client).join(root.function().as_str()).join(root.hash())
}

fn layer(home: &Path, number: usize) -> PathBuf {
    home.join("layers").join(format!("{number:03}"))
}

/// Makes the directory of a checkpoint, and closes that of all checkpoints to other users; that of all blobs as well, where
/// a private daemon has what it makes. Environments have their own links to blobs.
fn make_home(client: &Path, home: &Path) -> Result<(), ClientError> {
    for path in [checkpoints(client), client.join("blobs")] {
        let closed = fs::create_dir_all(&path).and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o700)));
        closed.map_err(ClientError::io("make the directory", &path))?;
    }
    fs::create_dir_all(home).map_err(ClientError::io("make the directory", home))
}
