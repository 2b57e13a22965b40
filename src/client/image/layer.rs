//! A layer that lies over a root file system, in a directory, as overlays that root mounts have them.
//!
//! Its files are kept with those of root file systems, and nothing of it among the blobs, which others may read.

use std::fs;
use std::path::Path;

use super::keeper::Keeper;
use super::make::make;
use super::parts::Parts;
use super::root::keeper;
use crate::client::brought::Brought;
use crate::client::connect::Reached;
use crate::client::events::Events;
use crate::client::fill::Filled;
use crate::client::materialize::prepare;
use crate::client::{Client, ClientError};
use crate::container::{Owner, Plan};
use crate::oci::{Attributes, StoredLayer, upper_layer};
use crate::store::{Listing, blocking};

impl Client {
    /// Makes the last of some layers over an image, the lowest first, whose directories are those of the image's tree.
    ///
    /// # Errors
    /// `Image` when the layers do not fit; else what stood in the way.
    ///
    /// # Cancel safety
    /// What has arrived stays.
    pub(in crate::client) async fn bring_layer(
        &self,
        parts: &Parts,
        layers: &[StoredLayer],
        place: &Path,
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Brought<()>, ClientError> {
        let all: Vec<StoredLayer> = [parts.image.root_file_system].iter().chain(layers).copied().collect();
        let digests = parts.attributes_of(&all)?;
        let documents = match self.passing_documents(&digests, cas).await? {
            Ok(documents) => documents,
            Err(lost) => return Ok(Brought::Lost(lost)),
        };
        let parse = |(layer, attributes): (&StoredLayer, _)| {
            let listing = parts.directories.listing(layer.root).map_err(parts.unusable())?;
            Ok::<(Listing, Attributes), ClientError>((listing, parts.parse_attributes(&documents.bytes[attributes])?))
        };
        let all = all.iter().zip(&digests).map(parse).collect::<Result<Vec<_>, _>>()?;
        let (unusable, client) = (parts.unusable(), self.root().to_owned());
        let (root, home) = (parts.root, place.to_owned());
        let prepared = blocking(move || {
            let plan = Plan::new(upper_layer(&all).map_err(unusable)?, Owner::Image);
            let keeper: Keeper = keeper(&client, Owner::Image, &root)?;
            let (lock, partial) = prepare(&home)?;
            Ok::<_, ClientError>((plan, keeper, lock, partial))
        });
        let (plan, keeper, lock, partial) = prepared.await?;
        let downloaded = documents.downloaded;
        if place.is_dir() {
            return Ok(Brought::Here { place: (), downloaded });
        }
        let downloaded = match make(&partial, plan, keeper, self.store().await?, cas, events).await? {
            Filled::Whole { downloaded: files } => downloaded + files,
            Filled::Lost(lost) => return Ok(Brought::Lost(lost)),
        };
        fs::rename(&partial, place).map_err(ClientError::io("put in place", place))?;
        drop(lock);
        Ok(Brought::Here { place: (), downloaded })
    }
}
