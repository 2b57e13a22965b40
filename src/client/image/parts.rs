//! The parts of an image: what its tree says, and the documents that go with it.

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;

use super::ImageError;
use crate::client::connect::Reached;
use crate::client::{Client, ClientError};
use crate::digest::Digest;
use crate::oci::{Attributes, MAX_ATTRIBUTES_BYTES, MAX_DOCUMENT_BYTES, StoredImage, StoredLayer};
use crate::spec::{Descriptor, ImageFacts};
use crate::store::{BlobStore, Directories, FileBlobStore, StoreError};

fn unusable(root: Digest, source: ImageError) -> ClientError {
    ClientError::Image { root, source: Box::new(source) }
}

/// An image whose tree was read.
pub(in crate::client) struct Parts {
    /// The root of its tree.
    pub(in crate::client) root: Digest,
    /// What registries know it by.
    pub(in crate::client) facts: ImageFacts,
    pub(super) directories: Directories,
    pub(super) image: StoredImage,
}

impl Parts {
    /// Reads the tree of an image.
    ///
    /// # Errors
    /// `Image` when it is none.
    pub(super) async fn read(
        descriptor: &Descriptor,
        facts: &ImageFacts,
        tree: &[u8],
        store: &FileBlobStore,
    ) -> Result<Self, ClientError> {
        let root = descriptor.root;
        let directories = Directories::parse(root.function(), tree);
        let directories = directories.map_err(|error| unusable(root, error.into()))?;
        Self::at(root, facts, directories, store).await
    }

    /// Reads the tree of an image that stands somewhere in another tree, of which these are the directories.
    ///
    /// # Errors
    /// `Image` when it is none.
    pub(in crate::client) async fn at(
        root: Digest,
        facts: &ImageFacts,
        directories: Directories,
        store: &FileBlobStore,
    ) -> Result<Self, ClientError> {
        let blobs = TreeStore { directories: directories.clone(), store: store.clone() };
        let image = StoredImage::read(&blobs, root).await.map_err(|error| unusable(root, error.into()))?;
        let (named, found) = (facts.layers.len(), image.layers.len());
        if named != found {
            return Err(unusable(root, ImageError::Layers { named, found }));
        }
        Ok(Self { root, facts: facts.clone(), directories, image })
    }

    /// Returns a closure that makes an error of what is wrong with the image.
    pub(super) fn unusable<E: Into<ImageError>>(&self) -> impl Fn(E) -> ClientError + use<E> {
        let root = self.root;
        move |source| unusable(root, source.into())
    }

    /// Returns a store that has the directories of the image, and what is here.
    pub(super) fn store(&self, store: &FileBlobStore) -> TreeStore {
        TreeStore { directories: self.directories.clone(), store: store.clone() }
    }

    /// Checks that a document is no larger than it may be.
    fn check_size(&self, what: &'static str, digest: &Digest, limit: usize) -> Result<(), ClientError> {
        let size = digest.size();
        if size <= limit as u64 { Ok(()) } else { Err(self.unusable()(ImageError::TooLarge { what, size, limit })) }
    }

    /// Checks that the documents of some layers are no larger than they may be, and returns them.
    pub(super) fn attributes_of(&self, layers: &[StoredLayer]) -> Result<Vec<Digest>, ClientError> {
        let checked = layers.iter().map(|layer| {
            self.check_size("attributes", &layer.attributes, MAX_ATTRIBUTES_BYTES)?;
            Ok(layer.attributes)
        });
        checked.collect()
    }

    /// Checks that the configuration and the manifest are no larger than they may be.
    pub(super) fn check_documents(&self) -> Result<(), ClientError> {
        self.check_size("configuration", &self.image.config, MAX_DOCUMENT_BYTES)?;
        self.check_size("manifest", &self.image.manifest, MAX_DOCUMENT_BYTES)
    }

    /// Checks that a document is the one that the descriptor names.
    pub(super) fn check(&self, what: &'static str, expected: Digest, bytes: &[u8]) -> Result<(), ClientError> {
        self.check_digest(what, expected, expected.function().digest(bytes))
    }

    /// Checks that something is what the descriptor names.
    pub(super) fn check_digest(&self, what: &'static str, expected: Digest, actual: Digest) -> Result<(), ClientError> {
        if actual == expected {
            return Ok(());
        }
        Err(self.unusable()(ImageError::Differs { what, expected, actual }))
    }

    /// Returns the attributes that a document states.
    pub(super) fn parse_attributes(&self, bytes: &[u8]) -> Result<Attributes, ClientError> {
        Attributes::parse(bytes).map_err(self.unusable())
    }
}

/// Documents of an image.
pub(super) struct Documents {
    /// By digest.
    pub(super) bytes: HashMap<Digest, Bytes>,
    /// Bytes of those that came over the wire.
    pub(super) downloaded: u64,
}

impl Client {
    /// Returns documents, which are stored here; or those that the endpoint does not have.
    ///
    /// # Errors
    /// When the file system refuses, or the endpoint.
    pub(super) async fn documents(
        &self,
        digests: &[Digest],
        cas: &Reached,
    ) -> Result<Result<Documents, Vec<Digest>>, ClientError> {
        let found = self.passing_documents(digests, cas).await?;
        if let Ok(documents) = &found {
            let all = documents.bytes.iter().map(|(digest, bytes)| (*digest, bytes.clone())).collect();
            self.store().await?.put_batch(all).await?;
        }
        Ok(found)
    }

    /// Returns documents, of which none is stored here; or those that the endpoint does not have.
    ///
    /// # Errors
    /// When the file system refuses, or the endpoint.
    pub(super) async fn passing_documents(
        &self,
        digests: &[Digest],
        cas: &Reached,
    ) -> Result<Result<Documents, Vec<Digest>>, ClientError> {
        let store = self.store().await?;
        let mut bytes = store.get_batch(digests).await?;
        let absent: Vec<Digest> = digests.iter().filter(|digest| !bytes.contains_key(digest)).copied().collect();
        let arrived = cas.blobs.get_batch(&absent).await?;
        let lost: Vec<Digest> = absent.into_iter().filter(|digest| !arrived.contains_key(digest)).collect();
        if !lost.is_empty() {
            return Ok(Err(lost));
        }
        let downloaded = arrived.keys().map(Digest::size).sum();
        bytes.extend(arrived);
        Ok(Ok(Documents { bytes, downloaded }))
    }
}

/// The directories of a tree, which was fetched as one message, before a store that need not have them.
pub(in crate::client) struct TreeStore {
    pub(in crate::client) directories: Directories,
    pub(in crate::client) store: FileBlobStore,
}

#[async_trait]
impl BlobStore for TreeStore {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let others: Vec<Digest> =
            digests.iter().filter(|digest| self.directories.get(digest).is_none()).copied().collect();
        self.store.find_missing(&others).await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        match self.directories.get(digest) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => self.store.get(digest).await,
        }
    }

    async fn get_batch(&self, digests: &[Digest]) -> Result<HashMap<Digest, Bytes>, StoreError> {
        let mut found = HashMap::new();
        let mut others = Vec::new();
        for digest in digests {
            match self.directories.get(digest) {
                Some(bytes) => drop(found.insert(*digest, bytes.clone())),
                None => others.push(*digest),
            }
        }
        found.extend(self.store.get_batch(&others).await?);
        Ok(found)
    }

    async fn put_batch(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        self.store.put_batch(blobs).await
    }

    async fn put_file(&self, digest: &Digest, path: &Path) -> Result<(), StoreError> {
        self.store.put_file(digest, path).await
    }

    async fn get_file(&self, digest: &Digest, path: &Path) -> Result<bool, StoreError> {
        self.store.get_file(digest, path).await
    }
}
