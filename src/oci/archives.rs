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
        let options = LayerOptions { open_end: true, ..LayerOptions::default() };
        let read = read_layer(source, store, function, &self.scratch, options).await?;
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::spec::RelativePath;
    use crate::store::{MemoryBlobStore, MerkleTree, Node};

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    struct World {
        known: KnownArchives,
        store: MemoryBlobStore,
        _directory: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("temporary");
            let database = Database::open(&directory.path().join("database"), u64::MAX).expect("free");
            let known = KnownArchives::new(database, directory.path().to_owned());
            Self { known, store: MemoryBlobStore::default(), _directory: directory }
        }

        async fn layer(&self, text: &str) -> (StoredLayer, Attributes) {
            let store: &dyn BlobStore = &self.store;
            let digest = store.put(FUNCTION, text.to_owned().into()).await.expect("memory");
            let mut tree = MerkleTree::default();
            let at = RelativePath::parse("d/file").expect("relative");
            tree.insert(&at, Node::File { digest, executable: false }).expect("free");
            let (root, directories) = tree.encode(FUNCTION);
            store.put_batch(directories).await.expect("memory");
            let attributes = Attributes::default();
            let stored = store.put(FUNCTION, attributes.canonical().into()).await.expect("memory");
            (StoredLayer { root, attributes: stored }, attributes)
        }

        async fn archive(&self, layer: StoredLayer, attributes: &Attributes) -> Vec<u8> {
            let (none, scratch) = (LayerCompression::None, self.known.scratch());
            let written = write_layer(&self.store, layer.root, attributes, none, scratch, Vec::new()).await;
            written.expect("whole").1
        }
    }

    #[tokio::test]
    async fn a_layer_is_hashed_once_and_known_without_its_content() {
        let world = World::new();
        let (layer, attributes) = world.layer("x").await;
        let empty = MemoryBlobStore::default();
        let lost = world.known.archive(&empty, layer, &attributes).await;
        assert!(matches!(lost, Err(LayerError::Store(StoreError::Missing { .. }))), "{lost:?}");
        let archive = world.known.archive(&world.store, layer, &attributes).await.expect("whole");
        assert!(archive.matches(&world.archive(layer, &attributes).await));
        assert_eq!(world.known.archive(&empty, layer, &attributes).await.expect("known"), archive);
        let (other, attributes) = world.layer("y").await;
        assert_ne!(world.known.archive(&world.store, other, &attributes).await.expect("whole"), archive);
    }

    #[tokio::test]
    async fn what_was_read_is_known_only_while_all_of_it_is_there() {
        let world = World::new();
        let (layer, attributes) = world.layer("x").await;
        let bytes = world.archive(layer, &attributes).await;
        let digest = FUNCTION.digest(&bytes);
        async fn read_before(world: &World, store: &MemoryBlobStore, digest: &Digest) -> Option<ReadLayer> {
            world.known.read_before(store, FUNCTION, digest).await.expect("told")
        }
        assert_eq!(read_before(&world, &world.store, &digest).await, None);
        let read = world.known.read(&world.store, FUNCTION, Cursor::new(bytes.clone()), &digest).await.expect("valid");
        assert_eq!(read_before(&world, &world.store, &digest).await, Some(read.clone()));
        let whole = [layer.attributes, layer.root];
        let listed = collect_tree(&world.store, layer.root).await.expect("whole");
        let blobs = Listing::parse(layer.root, &listed).expect("valid").blobs();
        for without in whole.into_iter().chain(blobs.clone()) {
            let partial = MemoryBlobStore::default();
            for digest in [layer.attributes].into_iter().chain(blobs.clone()).filter(|digest| *digest != without) {
                let bytes = world.store.get(&digest).await.expect("memory").expect("there");
                partial.put_batch(vec![(digest, bytes)]).await.expect("memory");
            }
            assert_eq!(read_before(&world, &partial, &digest).await, None, "without {without:?}");
        }
        let other = world.known.read_before(&world.store, DigestFunction::Sha256, &digest).await.expect("told");
        assert_eq!(other, None);
    }

    #[tokio::test]
    async fn an_archive_is_not_remembered_by_a_digest_that_it_does_not_have() {
        let world = World::new();
        let (layer, attributes) = world.layer("x").await;
        let bytes = world.archive(layer, &attributes).await;
        let claimed = DigestFunction::Sha256.digest(b"another");
        let read = world.known.read(&world.store, FUNCTION, Cursor::new(bytes), &claimed).await.expect("valid");
        assert_ne!(read.blob, claimed);
        assert_eq!(world.known.read_before(&world.store, FUNCTION, &claimed).await.expect("told"), None);
    }
}
