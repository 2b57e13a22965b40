//! The images that a daemon can give to others: those of environments that it has answered, and what was pushed to it.
//!
//! Of every blob it is known what it is, so that it can be made, or built again, when somebody asks for it. That
//! something is known here does not mean that it is in the CAS: blobs are evicted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::digest::OciDigest;
use super::media_type::{Family, LayerCompression, MediaType};
use super::repository::repository_of;
use crate::digest::Digest;
use crate::spec::{Descriptor, EnvKey, ImageFacts, KeyParts};
use crate::store::{Database, StoreError, Table};

#[cfg(test)]
mod tests;

/// Most images, and most repositories, of which is remembered that they are written.
const MAX_NOTED: usize = 10_000;
/// Most images that are looked at for one blob.
const MAX_OWNERS: usize = 16;
/// The tag of what was answered last in a repository.
const LATEST: &str = "latest";
/// What stands in the place of an image for a blob that was pushed.
const PUSHED: &str = "pushed";
/// Compressed bytes depend on the libraries of this version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An image that is an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownImage {
    /// Its tree, as `StoredImage` says.
    pub root: Digest,
    /// The `Tree` message that lists everything in it.
    pub tree: Digest,
    /// The canonical bytes of the key by which it is built.
    pub key: String,
    /// The canonical description that the key names.
    pub description: String,
    /// The properties of its actions.
    pub properties: BTreeMap<String, String>,
    /// What it is called.
    pub repository: String,
    /// Manifest, configuration and layers.
    pub facts: ImageFacts,
}

/// How an image is shown: whose media types its manifest has, and how its layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Form {
    /// Whose media types.
    pub family: Family,
    /// How layers are compressed.
    pub compression: LayerCompression,
}

impl Form {
    /// The form of the manifest that lies in the CAS.
    pub const STORED: Self = Self { family: Family::Oci, compression: LayerCompression::None };
}

/// What of an image a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Its manifest.
    Manifest(Form),
    /// Its configuration.
    Config,
    /// A layer.
    Layer {
        /// Which, the lowest being 0.
        number: usize,
        /// How it is compressed.
        compression: LayerCompression,
    },
}

impl Part {
    /// Returns how layers are compressed where the part is one, or names some.
    pub fn compression(&self) -> LayerCompression {
        match self {
            Self::Manifest(form) => form.compression,
            Self::Config => LayerCompression::None,
            Self::Layer { compression, .. } => *compression,
        }
    }
}

/// A blob that was pushed, and lies in the CAS as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Its digest in the CAS.
    pub blob: Digest,
    /// What it is, if it is a manifest or an index.
    pub media_type: Option<MediaType>,
}

/// What is known of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownBlob {
    /// It is part of the image with this manifest.
    Part(OciDigest, Part),
    /// It was pushed.
    Pushed(Pushed),
}

/// SHA-256 and size of layers in a certain compression, and of the manifest that names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageForms {
    /// The manifest.
    pub manifest: Digest,
    /// The layers, the lowest first.
    pub layers: Vec<Digest>,
}

/// The images that are known. Clones share what they remember.
#[derive(Clone)]
pub struct KnownImages {
    database: Database,
    noted: Arc<Mutex<Noted>>,
}

/// What is written already.
#[derive(Default)]
struct Noted {
    images: HashSet<(EnvKey, Digest, OciDigest)>,
    latest: HashMap<String, OciDigest>,
}

type Records = Vec<(Table, Vec<u8>, Vec<u8>)>;

impl KnownImages {
    /// Opens the tables.
    pub fn new(database: Database) -> Self {
        Self { database, noted: Arc::default() }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the image that an environment is, if it is one, before it is answered: who is told of an image may
    /// ask for it at once.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn note(
        &self,
        key: &EnvKey,
        parts: &KeyParts,
        properties: &BTreeMap<String, String>,
        descriptor: &Descriptor,
    ) -> Result<(), StoreError> {
        let Some(facts) = &descriptor.image else { return Ok(()) };
        let Some(manifest) = OciDigest::from_digest(&facts.manifest) else { return Ok(()) };
        let repository = repository_of(&parts.module, &parts.name);
        let image = (*key, descriptor.root, manifest);
        let (known, is_latest) = {
            let noted = self.noted();
            (noted.images.contains(&image), noted.latest.get(&repository) == Some(&manifest))
        };
        if known && is_latest {
            return Ok(());
        }
        let mut records = vec![tag_record(&repository, LATEST, &manifest)];
        if !known {
            let tag = format!("key-{}", key.digest().hash());
            records.extend([tag_record(&repository, &tag, &manifest), tag_record("", &tag, &manifest)]);
            let text = |bytes| String::from_utf8(bytes).expect("canonical JSON is UTF-8");
            let known = KnownImage {
                root: descriptor.root,
                tree: descriptor.tree,
                key: text(parts.canonical()),
                description: text(parts.description.canonical()),
                properties: properties.clone(),
                repository: repository.clone(),
                facts: facts.clone(),
            };
            records.extend(image_records(&manifest, &known));
        }
        self.database.put_all(records).await?;
        let mut noted = self.noted();
        if noted.images.len().max(noted.latest.len()) >= MAX_NOTED {
            *noted = Noted::default();
        }
        noted.images.insert(image);
        noted.latest.insert(repository, manifest);
        Ok(())
    }

    /// Returns the images with this manifest: one for each function in which it was built.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn images(&self, manifest: &OciDigest) -> Result<Vec<KnownImage>, StoreError> {
        let prefix = format!("{}/", manifest.hash()).into_bytes();
        let records = self.database.starting(Table::OciImages, prefix, None, MAX_OWNERS).await?;
        records.into_iter().map(|(_, record)| read(Table::OciImages, &record)).collect()
    }

    /// Returns the images that this is a manifest of, in any form.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn images_of_manifest(&self, manifest: &OciDigest) -> Result<Vec<KnownImage>, StoreError> {
        let mut images = Vec::new();
        for blob in self.blobs(manifest).await? {
            if let KnownBlob::Part(stored, Part::Manifest(_)) = blob {
                images.extend(self.images(&stored).await?);
            }
        }
        Ok(images)
    }

    /// Returns all that is known of a blob.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn blobs(&self, digest: &OciDigest) -> Result<Vec<KnownBlob>, StoreError> {
        let prefix = format!("{}/", digest.hash()).into_bytes();
        let pushed = self.database.get(Table::OciBlobs, blob_key(digest, PUSHED)).await?;
        let pushed = pushed.map(|record| read(Table::OciBlobs, &record).map(KnownBlob::Pushed)).transpose()?;
        let mut found: Vec<KnownBlob> = pushed.into_iter().collect();
        for (key, record) in self.database.starting(Table::OciBlobs, prefix.clone(), None, MAX_OWNERS).await? {
            let owner = std::str::from_utf8(&key[prefix.len()..]).ok();
            match owner.and_then(|hash| format!("sha256:{hash}").parse().ok()) {
                Some(manifest) => found.push(KnownBlob::Part(manifest, read(Table::OciBlobs, &record)?)),
                None if owner == Some(PUSHED) => {}
                None => return Err(StoreError::Record { table: Table::OciBlobs.name() }),
            }
        }
        Ok(found)
    }

    /// Returns what a tag leads to. A tag that names a key is known in every repository.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn tag(&self, repository: &str, tag: &str) -> Result<Option<OciDigest>, StoreError> {
        let record = match self.database.get(Table::OciTags, tag_key(repository, tag)).await? {
            None => self.database.get(Table::OciTags, tag_key("", tag)).await?,
            there => there,
        };
        record.map(|record| read(Table::OciTags, &record)).transpose()
    }

    /// Returns the tags of a repository that come after one, at most so many.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn tags(&self, repository: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let prefix = tag_key(repository, "");
        let after = after.map(|tag| tag_key(repository, tag));
        let records = self.database.starting(Table::OciTags, prefix.clone(), after, limit).await?;
        let tag = |key: &[u8]| String::from_utf8(key[prefix.len()..].to_vec()).ok();
        let tags: Option<Vec<_>> = records.iter().map(|(key, _)| tag(key)).collect();
        tags.ok_or(StoreError::Record { table: Table::OciTags.name() })
    }

    /// Remembers a blob that was pushed, and a tag that leads to it if there is one.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn put_pushed(
        &self,
        digest: &OciDigest,
        pushed: &Pushed,
        tag: Option<(&str, &str)>,
    ) -> Result<(), StoreError> {
        let mut records = vec![(Table::OciBlobs, blob_key(digest, PUSHED), written(pushed))];
        if let Some((repository, tag)) = tag {
            records.push(tag_record(repository, tag, digest));
        }
        self.database.put_all(records).await?;
        if let Some((repository, LATEST)) = tag {
            self.noted().latest.remove(repository);
        }
        Ok(())
    }

    /// Returns what the archive of a layer becomes when it is compressed, if that is known.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn compressed(
        &self,
        archive: &Digest,
        compression: LayerCompression,
    ) -> Result<Option<Compressed>, StoreError> {
        if compression == LayerCompression::None {
            return Ok(Some(Compressed { blob: *archive, kept: None }));
        }
        let record = self.database.get(Table::OciForms, form_key(archive, compression)).await?;
        record.map(|record| read(Table::OciForms, &record)).transpose()
    }

    /// Remembers what the archive of a layer becomes.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn put_compressed(
        &self,
        archive: &Digest,
        compression: LayerCompression,
        compressed: &Compressed,
    ) -> Result<(), StoreError> {
        self.database.put(Table::OciForms, form_key(archive, compression), written(compressed)).await
    }

    /// Remembers the blobs of an image in another form than the stored one.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn put_forms(&self, manifest: &OciDigest, form: Form, forms: &ImageForms) -> Result<(), StoreError> {
        self.database.put_all(form_records(manifest, form, forms)).await
    }
}

/// What the archive of a layer becomes when it is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compressed {
    /// Its SHA-256 and size: what a manifest names.
    pub blob: Digest,
    /// What the CAS calls it, if it was put there. It may have been evicted since.
    pub kept: Option<Digest>,
}

/// Returns the records of an image and of what it consists of.
fn image_records(manifest: &OciDigest, image: &KnownImage) -> Records {
    let key = format!("{}/{}", manifest.hash(), image.root.function()).into_bytes();
    let mut records = vec![(Table::OciImages, key, written(image))];
    if let Some(config) = OciDigest::from_digest(&image.facts.config) {
        records.push((Table::OciBlobs, blob_key(&config, &manifest.hash()), written(&Part::Config)));
    }
    let forms = ImageForms { manifest: image.facts.manifest, layers: image.facts.layers.clone() };
    records.extend(form_records(manifest, Form::STORED, &forms));
    records
}

fn form_records(manifest: &OciDigest, form: Form, forms: &ImageForms) -> Records {
    let layer = |(number, digest)| (Part::Layer { number, compression: form.compression }, digest);
    let layers = forms.layers.iter().enumerate().map(layer);
    let blobs = std::iter::once((Part::Manifest(form), &forms.manifest)).chain(layers);
    let record = |(part, digest)| {
        let key = blob_key(&OciDigest::from_digest(digest)?, &manifest.hash());
        Some((Table::OciBlobs, key, written(&part)))
    };
    blobs.filter_map(record).collect()
}

fn blob_key(digest: &OciDigest, owner: &str) -> Vec<u8> {
    format!("{}/{owner}", digest.hash()).into_bytes()
}

/// Returns the key of a tag. No name of a repository has a colon.
fn tag_key(repository: &str, tag: &str) -> Vec<u8> {
    format!("{repository}:{tag}").into_bytes()
}

fn tag_record(repository: &str, tag: &str, manifest: &OciDigest) -> (Table, Vec<u8>, Vec<u8>) {
    (Table::OciTags, tag_key(repository, tag), written(manifest))
}

fn form_key(archive: &Digest, compression: LayerCompression) -> Vec<u8> {
    format!("{VERSION}/{}/{}", MediaType::Layer(Family::Oci, compression), archive.hash()).into_bytes()
}

fn written(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("records have text as keys")
}

fn read<T: DeserializeOwned>(table: Table, record: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(record).map_err(|_| StoreError::Record { table: table.name() })
}
