//! How much of an image would be fetched.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::Wanted;
use super::keeper::Keeper;
use super::parts::Parts;
use super::root::{keeper, plan};
use crate::client::amount::Amount;
use crate::client::connect::Reached;
use crate::client::placement::View;
use crate::client::{Client, ClientError};
use crate::container::Owner;
use crate::digest::Digest;
use crate::store::{BlobStore, FileBlobStore, StoreError, blocking};

impl Client {
    /// Returns how much a view of an image takes; `None` when a document of the image is gone.
    pub(in crate::client) async fn image_amount(
        &self,
        wanted: &Wanted<'_>,
        tree: &[u8],
        cas: &Reached,
    ) -> Result<Option<Amount>, ClientError> {
        let parts = Parts::read(wanted.descriptor, wanted.facts, tree, self.store().await?).await?;
        parts.check_documents()?;
        let mut names = vec![parts.image.config];
        match wanted.placement.view {
            View::Dir | View::Nix => {
                names.extend(parts.attributes_of(&[parts.image.root_file_system])?);
                let Some((documents, amount)) = self.peek(&names, cas).await? else { return Ok(None) };
                let there = self.image_place(wanted)?.is_dir();
                Ok(Some(amount + self.root_amount(parts, &documents[&names[1]], there).await?))
            }
            View::Oci | View::DockerArchive => {
                names.push(parts.image.manifest);
                names.extend(parts.attributes_of(&parts.image.layers)?);
                let Some((_, amount)) = self.peek(&names, cas).await? else { return Ok(None) };
                Ok(Some(amount + self.layers_amount(&parts).await?))
            }
        }
    }

    /// Reads documents, of which none is kept, and returns what they come to; `None` when one is gone.
    async fn peek(
        &self,
        digests: &[Digest],
        cas: &Reached,
    ) -> Result<Option<(HashMap<Digest, Bytes>, Amount)>, ClientError> {
        let mut documents = self.store().await?.get_batch(digests).await?;
        let absent: Vec<Digest> = digests.iter().filter(|digest| !documents.contains_key(digest)).copied().collect();
        documents.extend(cas.blobs.get_batch(&absent).await?);
        let whole = digests.iter().all(|digest| documents.contains_key(digest));
        let amount = Amount::of(digests, &absent.into_iter().collect());
        Ok(whole.then_some((documents, amount)))
    }

    /// Returns what the files of the root file system come to.
    async fn root_amount(&self, parts: Parts, attributes: &[u8], there: bool) -> Result<Amount, ClientError> {
        let owner = Owner::current()?;
        let plan = plan(&parts, attributes, owner)?;
        let (client, blobs) = (self.root().to_owned(), self.store().await?.clone());
        blocking(move || {
            let files = plan.files.iter().map(|planned| &planned.file.digest);
            if there {
                return Ok(Amount::of(files, &HashSet::new()));
            }
            let keeper = keeper(&client, owner, &parts.root)?;
            let lacking = plan.files.iter().filter(|planned| !keeper.has(&planned.file));
            let lacking = lacking.map(|planned| planned.file.digest).collect();
            Ok(Amount::of(files, &not_here(&keeper, &blobs, lacking)?))
        })
        .await
    }

    /// Returns what the files of the layers come to, each of which is read from the store of the client.
    async fn layers_amount(&self, parts: &Parts) -> Result<Amount, ClientError> {
        let mut files = Vec::new();
        for layer in &parts.image.layers {
            let listing = parts.directories.listing(layer.root).map_err(parts.unusable())?;
            files.extend(listing.files.iter().map(|file| file.digest));
        }
        let blobs = self.store().await?.clone();
        let missing: HashSet<Digest> = blobs.find_missing(&files).await?.into_iter().collect();
        let (client, root) = (self.root().to_owned(), parts.root);
        blocking(move || {
            let keeper = keeper(&client, Owner::current()?, &root)?;
            Ok(Amount::of(&files, &not_here(&keeper, &blobs, missing)?))
        })
        .await
    }
}

/// Returns those of the contents that neither a kept file nor a blob has.
fn not_here(
    keeper: &Keeper,
    blobs: &FileBlobStore,
    mut lacking: HashSet<Digest>,
) -> Result<HashSet<Digest>, ClientError> {
    let alike = keeper.alike(&lacking)?;
    lacking.retain(|digest| !alike.contains_key(digest));
    let there = lacking.iter().filter_map(|digest| match blobs.contains(digest) {
        Ok(there) => there.then_some(Ok(*digest)),
        Err(error) => Some(Err(error)),
    });
    let there: HashSet<Digest> = there.collect::<Result<_, StoreError>>()?;
    lacking.retain(|digest| !there.contains(digest));
    Ok(lacking)
}
