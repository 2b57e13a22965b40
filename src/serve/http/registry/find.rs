//! From a digest or a tag to something whose blobs are in the CAS: they are looked for, and built again where they are
//! gone.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Registry;
use super::error::{Asked, RegistryError};
use crate::digest::{Digest, DigestFunction};
use crate::oci::{KnownBlob, KnownImage, KnownImages, LayerCompression, OciDigest, Part, Pushed};
use crate::serve::admission::Rights;
use crate::serve::remote::RemoteError;
use crate::serve::resolve::{Resolution, Resolver};
use crate::store::{Listing, StoreError};

/// Longest wait for an image to be built again.
const PATIENCE: Duration = Duration::from_secs(60);
/// For how long an image that was found whole is taken to be so.
const CHECKED: Duration = Duration::from_secs(60);
/// Most images that are remembered as whole.
const MAX_CHECKED: usize = 10_000;

/// An image, and who has it in its CAS.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) image: KnownImage,
    pub(super) manifest: OciDigest,
    pub(super) resolver: Resolver,
}

/// What a digest names.
pub(super) enum Blob {
    /// Part of an image, all of whose blobs are there.
    Part(Box<Found>, Part),
    /// Something that was pushed and is there, and who has it.
    Pushed(Pushed, Resolver),
}

impl Registry {
    /// Returns the tables.
    pub(super) async fn known(&self) -> Result<&KnownImages, RegistryError> {
        Ok(self.backend.resolver().await?.known_images())
    }

    /// Returns who has blobs of the function of a digest, if anybody has.
    async fn resolver_of(&self, digest: &Digest) -> Result<Option<&Resolver>, RegistryError> {
        let native = self.backend.resolver().await?;
        if native.function() == digest.function() {
            return Ok(Some(native));
        }
        match self.backend.compatible().await {
            Err(RemoteError::Function { .. }) => Ok(None),
            compatible => Ok(Some(compatible?).filter(|resolver| resolver.function() == digest.function())),
        }
    }

    /// Returns what a digest names. Its blobs are there: where they were not, they were built again, if that is done for
    /// whoever asks.
    ///
    /// # Errors
    /// When it names nothing, or nothing that can be had; or nobody can tell.
    pub(super) async fn find(&self, asked: Asked, digest: &OciDigest, rights: Rights) -> Result<Blob, RegistryError> {
        let (mut parts, mut pushed) = (Vec::new(), None);
        for blob in self.known().await?.blobs(digest).await? {
            match blob {
                KnownBlob::Pushed(blob) => pushed = Some(blob),
                KnownBlob::Part(manifest, part) => {
                    let founds = self.images(&manifest).await?;
                    parts.extend(founds.into_iter().map(|found| (found, part)));
                }
            }
        }
        // What was compressed by an older version cannot be made any more, but may have been pushed.
        parts.sort_by_key(|(_, part)| part.compression() != LayerCompression::None);
        let mut whole = None;
        for (found, part) in &mut parts {
            if self.is_whole(found).await? {
                whole = Some(Blob::Part(Box::new(found.clone()), *part));
                break;
            }
        }
        let plain = |blob: &Blob| matches!(blob, Blob::Part(_, part) if part.compression() == LayerCompression::None);
        if whole.as_ref().is_some_and(plain) {
            return Ok(whole.expect("it was just looked at"));
        }
        let mut lost = RegistryError::Unknown { asked, digest: *digest };
        if let Some(pushed) = pushed {
            match self.pushed(&pushed).await? {
                Some(resolver) => return Ok(Blob::Pushed(pushed, resolver)),
                None => lost = RegistryError::Evicted { asked, digest: *digest },
            }
        }
        if let Some(whole) = whole {
            return Ok(whole);
        }
        for (mut found, part) in parts {
            match self.build_again(asked, &mut found, rights).await {
                Ok(()) => return Ok(Blob::Part(Box::new(found), part)),
                Err(error) => lost = error,
            }
        }
        Err(lost)
    }

    async fn images(&self, manifest: &OciDigest) -> Result<Vec<Found>, RegistryError> {
        let mut found = Vec::new();
        for image in self.known().await?.images(manifest).await? {
            if let Some(resolver) = self.resolver_of(&image.root).await? {
                found.push(Found { image, manifest: *manifest, resolver: resolver.clone() });
            }
        }
        Ok(found)
    }

    /// Returns who has a pushed blob in its CAS, if anybody has.
    pub(super) async fn pushed(&self, pushed: &Pushed) -> Result<Option<Resolver>, RegistryError> {
        let Some(resolver) = self.resolver_of(&pushed.blob).await? else { return Ok(None) };
        let missing = resolver.store().find_missing(&[pushed.blob]).await?;
        Ok(missing.is_empty().then(|| resolver.clone()))
    }

    /// Says whether all blobs of an image are there. Where its entry still leads to it, that gets a lease.
    async fn is_whole(&self, found: &mut Found) -> Result<bool, RegistryError> {
        let Found { image, resolver, manifest } = found;
        let understood =
            resolver.understand(image.key.as_bytes(), image.description.as_bytes(), image.properties.clone());
        if let Ok(wanted) = understood
            && let Ok(Some(answer)) = resolver.probe(&wanted, Rights::ALL.without_checkpoints()).await
            && answer.descriptor.image.as_ref().is_some_and(|facts| is(manifest, &facts.manifest))
        {
            (image.root, image.tree) = (answer.descriptor.root, answer.descriptor.tree);
            return Ok(true);
        }
        if self.checked().get(&image.root).is_some_and(|until| Instant::now() < *until) {
            return Ok(true);
        }
        let store = resolver.store();
        let Some(listed) = store.get(&image.tree).await? else { return Ok(false) };
        let listing = Listing::parse(image.root, &listed);
        let listing = listing.map_err(|source| StoreError::Directory { digest: image.tree, source })?;
        if !store.find_missing(&listing.blobs()).await?.is_empty() {
            return Ok(false);
        }
        let mut checked = self.checked();
        if checked.len() >= MAX_CHECKED {
            checked.clear();
        }
        checked.insert(image.root, Instant::now() + CHECKED);
        Ok(true)
    }

    /// Builds an image again, of which blobs are gone.
    ///
    /// # Errors
    /// When that does not bring it back, or takes too long.
    async fn build_again(&self, asked: Asked, found: &mut Found, rights: Rights) -> Result<(), RegistryError> {
        let Found { image, resolver, manifest } = found;
        let digest = *manifest;
        self.checked().remove(&image.root);
        let (key, description) = (image.key.as_bytes(), image.description.as_bytes());
        let wanted = resolver.understand(key, description, image.properties.clone());
        let wanted = wanted.map_err(|source| RegistryError::Record { asked, digest, source: Box::new(source) })?;
        tracing::info!(%digest, environment = wanted.environment, "blobs of an image are gone: building it again");
        let gone = |source| RegistryError::Gone { asked, digest, source };
        let building = async {
            let resolved = resolver.resolve(wanted, &[], rights.without_checkpoints(), 0).await;
            match resolved.map_err(|error| gone(error.into()))? {
                Resolution::Hit(answer) => Ok(answer),
                Resolution::Building { flight, .. } => flight.answer().await.map_err(gone),
            }
        };
        let answer = timeout(PATIENCE, building).await.map_err(|_| RegistryError::Building { digest })??;
        let facts = answer.descriptor.image.as_ref();
        if !facts.is_some_and(|facts| is(manifest, &facts.manifest)) {
            let built = facts.and_then(|facts| OciDigest::from_digest(&facts.manifest));
            return Err(RegistryError::Changed { asked, digest, built });
        }
        (image.root, image.tree) = (answer.descriptor.root, answer.descriptor.tree);
        Ok(())
    }

    /// Checks every image anew from now on: blobs are gone that should not be.
    pub(super) fn doubt(&self, resolver: &Resolver) {
        self.checked().clear();
        resolver.doubt_all();
    }

    /// Does the same, whoever has the images.
    ///
    /// # Errors
    /// When the endpoint is not reached.
    pub(super) async fn doubt_all(&self) -> Result<(), RegistryError> {
        for function in DigestFunction::ALL {
            if let Some(resolver) = self.resolver_of(&function.empty()).await? {
                self.doubt(resolver);
            }
        }
        Ok(())
    }
}

fn is(manifest: &OciDigest, digest: &Digest) -> bool {
    OciDigest::from_digest(digest) == Some(*manifest)
}
