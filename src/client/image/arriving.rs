//! Where the files of an image go when they arrive: straight to where they are wanted, and kept from there.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::NamedTempFile;

use super::keeper::Keeper;
use super::places::{MissingFiles, Walk, link_all};
use crate::client::ClientError;
use crate::client::destination::Destination;
use crate::container::Plan;
use crate::digest::Digest;
use crate::store::{FileBlobStore, StoreError};

/// A root file system being made, which lacks some files.
pub(super) struct Arriving {
    pub(super) keeper: Keeper,
    pub(super) blobs: FileBlobStore,
    pub(super) top: PathBuf,
    pub(super) plan: Arc<Plan>,
    pub(super) missing: MissingFiles,
}

impl Destination for Arriving {
    fn wanted(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.missing.keys().copied().collect();
        digests.sort_unstable_by_key(|digest| self.missing[digest][0].1[0]);
        digests
    }

    fn put(&self, blobs: &[(Digest, Bytes)]) -> Result<(), ClientError> {
        let files = &self.plan.files;
        let mut walk = Walk::new(&self.top);
        for (digest, bytes) in blobs {
            for (file, places) in &self.missing[digest] {
                self.keeper.write(file, bytes, walk.to(&files[places[0]].path)?)?;
                link_all(&self.keeper, &self.top, files, &places[1..])?;
            }
        }
        Ok(())
    }

    fn file(&self) -> Result<NamedTempFile, ClientError> {
        self.keeper.temporary_file()
    }

    fn put_file(&self, digest: &Digest, arrived: NamedTempFile) -> Result<(), ClientError> {
        let files = &self.missing[digest];
        let (first, places) = &files[0];
        self.keeper.keep(first, arrived)?;
        link_all(&self.keeper, &self.top, &self.plan.files, places)?;
        let kept = self.top.join(&self.plan.files[places[0]].path);
        for (file, places) in &files[1..] {
            if !self.keeper.copy(file, Some(&kept), &self.blobs)? {
                return Err(StoreError::Missing { digest: *digest, role: "just written" }.into());
            }
            link_all(&self.keeper, &self.top, &self.plan.files, places)?;
        }
        Ok(())
    }
}
