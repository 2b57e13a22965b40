//! Images on a client: as a root file system, as an OCI layout, as an archive for Docker.
//!
//! ```text
//! ROOT/images/OWNER/FUNCTION/HASH/root    the root file system of the environment with this root Directory
//!                              …/config.json  its configuration    …/links.json  files with several paths
//! ROOT/images/OWNER/files/                the files of all of them, each once (keeper.rs)
//! ROOT/oci/HASH[-COMPRESSION]             a layout, by the digest of the manifest with plain layers
//! ROOT/docker-archives/HASH/KEY.tar       the same with the name that the key has in our registry
//! ```
//!
//! OWNER says whose the files are (container/owner.rs). Only what a view needs is downloaded: the root file system without the
//! layers, or the layers without what they come to.

mod amount;
mod archive;
mod arriving;
mod docker;
mod error;
mod install;
mod keeper;
mod layer;
mod layout;
mod load;
mod make;
mod parts;
mod places;
mod root;
mod run;
#[cfg(test)]
pub(super) mod tests;

use std::path::PathBuf;

use super::brought::Brought;
use super::connect::Reached;
use super::events::Events;
use super::placement::{Placement, View};
use super::{Client, ClientError, Request};
use crate::container::Owner;
use crate::oci::{LayerCompression, OciDigest, repository_of};
use crate::spec::{Descriptor, ImageFacts};
use crate::transport::Endpoint;

pub use error::ImageError;
pub use install::install_root;
pub use load::Loader;
pub use root::RootFileSystem;
pub use run::run;

pub(super) use parts::{Parts, TreeStore};

/// What stands for the address of a registry that has none.
const NO_ADDRESS: &str = "envserve";

/// An image that is wanted in some form.
pub(super) struct Wanted<'a> {
    pub(super) request: &'a Request,
    pub(super) descriptor: &'a Descriptor,
    pub(super) facts: &'a ImageFacts,
    pub(super) placement: &'a Placement,
}

/// Returns what an environment's image is called: the repository and tag of our registry.
pub fn name_of(request: &Request) -> String {
    let parts = &request.parts;
    format!("{}:key-{}", repository_of(&parts.module, &parts.name), parts.key().digest().hash())
}

impl Client {
    /// Returns the digest of an image's manifest, and the value of the property `container-image` with which actions
    /// run in the image, for an environment that is one.
    pub fn container_image(&self, request: &Request, descriptor: &Descriptor) -> Option<(OciDigest, String)> {
        let manifest = OciDigest::from_digest(&descriptor.image.as_ref()?.manifest)?;
        let registry = match &self.options.serve {
            Some(Endpoint::Tcp(address) | Endpoint::Tls(address)) => address,
            // Nobody else reaches it.
            Some(Endpoint::Unix(_)) | None => NO_ADDRESS,
        };
        let repository = repository_of(&request.parts.module, &request.parts.name);
        Some((manifest, format!("docker://{registry}/{repository}@{manifest}")))
    }

    /// Returns where a view of an image lies when it is there.
    pub(super) fn image_place(&self, wanted: &Wanted) -> Result<PathBuf, ClientError> {
        let manifest = wanted.facts.manifest.hash();
        Ok(match wanted.placement.view {
            View::Dir | View::Nix => {
                RootFileSystem::of(self.root(), &wanted.descriptor.root, Owner::current()?).directory()
            }
            View::Oci => self.root().join("oci").join(match wanted.placement.compression {
                LayerCompression::None => manifest,
                LayerCompression::Gzip => format!("{manifest}-gzip"),
                LayerCompression::Zstd => format!("{manifest}-zstd"),
            }),
            View::DockerArchive => {
                let key = wanted.request.parts.key().digest().hash();
                self.root().join("docker-archives").join(manifest).join(format!("{key}.tar"))
            }
        })
    }

    /// Makes a view of an image.
    ///
    /// # Errors
    /// `Image` when the image cannot be used; else what stood in the way.
    ///
    /// # Cancel safety
    /// What has arrived stays.
    pub(super) async fn bring_image(
        &self,
        wanted: &Wanted<'_>,
        tree: &[u8],
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Brought<PathBuf>, ClientError> {
        let parts = Parts::read(wanted.descriptor, wanted.facts, tree, self.store().await?).await?;
        let place = self.image_place(wanted)?;
        match wanted.placement.view {
            View::Dir | View::Nix => self.bring_root(parts, cas, events).await,
            View::Oci => self.bring_layout(&parts, wanted.placement.compression, place, cas, events).await,
            View::DockerArchive => self.bring_archive(&parts, &name_of(wanted.request), place, cas, events).await,
        }
    }
}
