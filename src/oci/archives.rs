//! What layers are as archives, remembered: nobody hashes a layer, or reads a base, twice.
//!
//! That a layer has a certain archive is true for ever. What was read from an archive is used only while all of it
//! is in the CAS.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attributes::Attributes;
use super::layer::{LayerError, LayerOptions, ReadLayer, read_layer, write_layer};
use super::media_type::LayerCompression;
use super::stored::StoredLayer;
use crate::digest::{Digest, DigestFunction};
use crate::store::{BlobStore, Database, Listing, StoreError, Table, collect_tree};

/// What is known of layers and their archives.
#[derive(Clone)]
pub struct KnownArchives {
    database: Database,
    scratch: PathBuf,
}

/// What was read from an archive, as it is stored.
#[derive(Serialize, Deserialize)]
struct Record {
    root: Digest,
    attributes: Digest,
    archive: Digest,
    blob: Digest,
}

impl KnownArchives {
    /// Opens the table. Large files go through `scratch` while they are read or hashed.
    pub fn new(database: Database, scratch: PathBuf) -> Self {
        Self { database, scratch }
    }

    /// Returns where large files go.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Returns SHA-256 and size of a layer's plain archive, which is written only to be hashed, if it never was.
    ///
    /// # Errors
    /// As `write_layer`, and when the database fails.
    pub async fn archive(
        &self,
        store: &dyn BlobStore,
        layer: StoredLayer,
        attributes: &Attributes,
    ) -> Result<Digest, LayerError> {
        let key = format!("layer/{:?}/{:?}", layer.root, layer.attributes).into_bytes();
        if let Some(known) = self.get(key.clone()).await? {
            return Ok(known);
        }
        let (none, sink) = (LayerCompression::None, std::io::sink());
        let (written, _) = write_layer(store, layer.root, attributes, none, &self.scratch, sink).await?;
        self.put(key, &written.archive).await?;
        Ok(written.archive)
    }

    /// Returns what was read before from an archive of that digest, if all of it is in the store.
    ///
    /// # Errors
    /// When the database or the store fails.
    pub async fn read_before(
        &self,
        store: &dyn BlobStore,
        function: DigestFunction,
        archive: &Digest,
    ) -> Result<Option<ReadLayer>, StoreError> {
        let Some(record) = self.get::<Record>(read_key(function, archive)).await? else { return Ok(None) };
        let Some(bytes) = store.get(&record.attributes).await? else { return Ok(None) };
        let Ok(attributes) = Attributes::parse(&bytes) else { return Ok(None) };
        let listed = match collect_tree(store, record.root).await {
            Ok(listed) => listed,
            Err(StoreError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let invalid = |source| StoreError::Directory { digest: record.root, source };
        let blobs = Listing::parse(record.root, &listed).map_err(invalid)?.blobs();
        let whole = store.find_missing(&blobs).await?.is_empty();
        let Record { root, archive, blob, .. } = record;
        Ok(whole.then_some(ReadLayer { root, attributes, archive, blob }))
    }

    /// Reads a layer from a source, and remembers what was in the archive of that digest. The caller has compared it,
    /// or compares it with what is returned.
    ///
    /// # Errors
    /// As `read_layer`, and when the database fails.
    pub async fn read<R: std::io::Read + Send + 'static>(
        &self,
        store: &dyn BlobStore,
        function: DigestFunction,
        source: R,
        archive: &Digest,
    ) -> Result<ReadLayer, LayerError> {
        let read = read_layer(source, store, function, &self.scratch, LayerOptions::default()).await?;
        let attributes = store.put(function, read.attributes.canonical().into()).await?;
        // What is not what it was called is for the caller to refuse, and not to be found again.
        if archive.function() != DigestFunction::Sha256 || read.blob == *archive {
            let record = Record { root: read.root, attributes, archive: read.archive, blob: read.blob };
            self.put(read_key(function, archive), &record).await?;
        }
        Ok(read)
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, key: Vec<u8>) -> Result<Option<T>, StoreError> {
        let Some(record) = self.database.get(Table::OciLayers, key).await? else { return Ok(None) };
        let wrong = |_| StoreError::Record { table: Table::OciLayers.name() };
        serde_json::from_slice(&record).map(Some).map_err(wrong)
    }

    async fn put(&self, key: Vec<u8>, value: &impl Serialize) -> Result<(), StoreError> {
        let record = serde_json::to_vec(value).expect("digests have a text form");
        self.database.put(Table::OciLayers, key, record).await
    }
}

fn read_key(function: DigestFunction, archive: &Digest) -> Vec<u8> {
    format!("read/{function}/{archive:?}").into_bytes()
}
