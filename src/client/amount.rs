//! How much of an environment would be fetched, and how much is here, found out before any of it moves.
//!
//! It is looked at in the same places as when the environment is fetched, of which nothing is changed: only its listing, and
//! the documents that say what an image is made of, are read from the CAS.

use std::collections::HashSet;

use super::connect::Reached;
use super::image::Wanted;
use super::placement::Placement;
use super::{Client, ClientError, Request, materialize};
use crate::digest::Digest;
use crate::spec::Descriptor;
use crate::store::{BlobStore, Listing};

/// Bytes of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Those that would be fetched.
    pub fetch: u64,
    /// Those that are here.
    pub here: u64,
}

impl Amount {
    /// Returns what blobs come to of which some are missing.
    pub(super) fn of<'a>(all: impl IntoIterator<Item = &'a Digest>, missing: &HashSet<Digest>) -> Self {
        let all: HashSet<&Digest> = all.into_iter().collect();
        all.into_iter().fold(Self::default(), |mut amount, digest| {
            if missing.contains(digest) {
                amount.fetch += digest.size();
            } else {
                amount.here += digest.size();
            }
            amount
        })
    }
}

impl std::ops::Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { fetch: self.fetch + other.fetch, here: self.here + other.here }
    }
}

impl Client {
    /// Returns how much of an environment would be fetched; `None` when that cannot be told: its listing is gone, or it
    /// is a checkpoint, of which what is needed depends on how it is started.
    pub(super) async fn amount(
        &self,
        request: &Request,
        descriptor: &Descriptor,
        placement: &Placement,
        cas: &Reached,
    ) -> Result<Option<Amount>, ClientError> {
        if descriptor.checkpoint.is_some() {
            return Ok(None);
        }
        let Some(tree) = cas.blobs.get(&descriptor.tree).await? else { return Ok(None) };
        if let Some(facts) = &descriptor.image {
            return self.image_amount(&Wanted { request, descriptor, facts, placement }, &tree, cas).await;
        }
        let root = descriptor.root;
        let listing = Listing::parse(root, &tree).map_err(|source| ClientError::Tree { root, source })?;
        if descriptor.nix.is_some() {
            return self.closure_amount(descriptor, placement, listing).await.map(Some);
        }
        let there = materialize::present(self.root(), &root).is_some();
        self.files_amount(&listing, &listing, there).await.map(Some)
    }

    /// Returns what the files of a listing come to, when those of a part of it are needed, unless they are all there.
    pub(super) async fn files_amount(
        &self,
        all: &Listing,
        needed: &Listing,
        there: bool,
    ) -> Result<Amount, ClientError> {
        let digests = |listing: &Listing| listing.files.iter().map(|file| file.digest).collect::<Vec<_>>();
        let needed = if there { Vec::new() } else { digests(needed) };
        let missing = self.store().await?.find_missing(&needed).await?.into_iter().collect();
        Ok(Amount::of(&digests(all), &missing))
    }
}
