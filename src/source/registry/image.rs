//! From a digest to an image: through indexes to the manifest, and to its configuration.

use bytes::Bytes;

use super::repository::Repository;
use super::{PulledImage, RegistryError};
use crate::oci::{
    Descriptor, DocumentError, Family, ImageConfig, Index, MAX_DOCUMENT_BYTES, Manifest, MediaType, OciDigest, Platform,
};
use crate::source::{CheckedFunction, FetchMismatch, FetchReason};

/// Most indexes on the way to a manifest.
const MAX_INDEXES: usize = 3;
/// Most bytes of all layers of an image together.
const MAX_IMAGE_BYTES: u64 = 64 << 30;

/// What a digest or tag may name.
enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// Pulls the documents of an image whose manifest, or index, has this digest.
pub(super) async fn pull(
    repository: &Repository<'_>,
    digest: OciDigest,
    platform: &Platform,
) -> Result<PulledImage, RegistryError> {
    let (bytes, manifest) = manifest(repository, digest, platform).await?;
    let size = check_size(repository, &format!("manifests/{digest}"), &manifest)?;
    let config = config(repository, &manifest, platform).await?;
    let layers = manifest.layers.len();
    tracing::info!(registry = repository.registry, %digest, layers, bytes = size, "pulled the documents of an image");
    Ok(PulledImage { manifest: bytes, config })
}

/// Returns the digest of what a tag names, which must be an image.
pub(super) async fn digest_of_tag(repository: &Repository<'_>, tag: &str) -> Result<OciDigest, RegistryError> {
    let what = format!("manifests/{tag}");
    let bytes = repository.document(&what, Some(&accepted()), MAX_DOCUMENT_BYTES as u64).await?;
    parse(&bytes).map_err(malformed(repository, &what))?;
    Ok(OciDigest::of(&bytes))
}

/// Follows indexes to the manifest that is for the platform.
async fn manifest(
    repository: &Repository<'_>,
    digest: OciDigest,
    platform: &Platform,
) -> Result<(Bytes, Manifest), RegistryError> {
    let mut digest = digest;
    let mut size = None;
    for _ in 0..=MAX_INDEXES {
        let what = format!("manifests/{digest}");
        let bytes = checked(repository, &what, digest, size).await?;
        let index = match parse(&bytes).map_err(malformed(repository, &what))? {
            Document::Manifest(manifest) => return Ok((bytes, manifest)),
            Document::Index(index) => index,
        };
        let Some(chosen) = index.choose(platform) else {
            let found = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
            return Err(foreign(repository, what, platform, found));
        };
        (digest, size) = (chosen.digest, Some(chosen.size));
    }
    let (registry, what) = (repository.registry.to_owned(), format!("manifests/{digest}"));
    Err(RegistryError::Nested { registry, what, limit: MAX_INDEXES })
}

async fn config(repository: &Repository<'_>, manifest: &Manifest, platform: &Platform) -> Result<Bytes, RegistryError> {
    let Descriptor { digest, size, .. } = manifest.config;
    let what = format!("blobs/{digest}");
    let bytes = checked(repository, &what, digest, Some(size)).await?;
    let config = ImageConfig::parse(&bytes).map_err(malformed(repository, &what))?;
    manifest.check_config(&config).map_err(malformed(repository, &what))?;
    if platform.distance(&config.platform).is_none() {
        return Err(foreign(repository, what, platform, std::iter::once(&config.platform)));
    }
    Ok(bytes)
}

/// Returns a document whose digest, and size where it is stated, are right.
async fn checked(
    repository: &Repository<'_>,
    what: &str,
    digest: OciDigest,
    size: Option<u64>,
) -> Result<Bytes, RegistryError> {
    let limit = MAX_DOCUMENT_BYTES as u64;
    if let Some(size) = size.filter(|size| *size > limit) {
        let error =
            DocumentError::TooLarge { document: "a document", size: usize::try_from(size).unwrap_or(usize::MAX) };
        return Err(malformed(repository, what)(error));
    }
    let accept = what.starts_with("manifests/").then(accepted);
    let bytes = repository.document(what, accept.as_deref(), limit).await?;
    let (actual, found) = (bytes.len() as u64, OciDigest::of(&bytes));
    let mismatch = match size.filter(|size| *size != actual) {
        Some(expected) => FetchMismatch::Size { expected, actual },
        None if found == digest => return Ok(bytes),
        None => {
            FetchMismatch::Checksum { function: CheckedFunction::Sha256, expected: digest.hash(), actual: found.hash() }
        }
    };
    Err(RegistryError::Failed { address: repository.shown(what), reason: FetchReason::Mismatch(mismatch) })
}

/// Tells a manifest from an index by what only the latter has. One that has both is refused by either.
fn parse(bytes: &[u8]) -> Result<Document, DocumentError> {
    #[derive(serde::Deserialize)]
    struct Form {
        manifests: Option<serde::de::IgnoredAny>,
    }
    let is_index = serde_json::from_slice(bytes).is_ok_and(|form: Form| form.manifests.is_some());
    if is_index { Index::parse(bytes).map(Document::Index) } else { Manifest::parse(bytes).map(Document::Manifest) }
}

/// Returns the bytes of all layers together.
fn check_size(repository: &Repository<'_>, what: &str, manifest: &Manifest) -> Result<u64, RegistryError> {
    let size = manifest.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    if size <= MAX_IMAGE_BYTES {
        return Ok(size);
    }
    let (registry, what) = (repository.registry.to_owned(), what.to_owned());
    Err(RegistryError::TooLarge { registry, what, size, limit: MAX_IMAGE_BYTES })
}

/// The types of manifests and indexes. Registries give others, or none, to those who do not name them.
fn accepted() -> String {
    let families = [Family::Oci, Family::Docker].into_iter();
    let types = families.flat_map(|family| [MediaType::Manifest(family), MediaType::Index(family)]);
    let types: Vec<String> = types.map(|media_type| media_type.to_string()).collect();
    types.join(", ")
}

fn malformed(repository: &Repository<'_>, what: &str) -> impl FnOnce(DocumentError) -> RegistryError + use<> {
    let (registry, what) = (repository.registry.to_owned(), what.to_owned());
    |source| RegistryError::Document { registry, what, source }
}

fn foreign<'a>(
    repository: &Repository<'_>,
    what: String,
    wanted: &Platform,
    found: impl Iterator<Item = &'a Platform>,
) -> RegistryError {
    let mut found: Vec<String> = found.map(written).collect();
    found.sort();
    found.dedup();
    RegistryError::Platform { registry: repository.registry.to_owned(), what, wanted: written(wanted), found }
}

fn written(platform: &Platform) -> String {
    let variant = platform.variant.as_deref().filter(|variant| !variant.is_empty());
    let parts = [Some(platform.os.as_str()), Some(platform.architecture.as_str()), variant];
    parts.into_iter().flatten().map(crate::spec::shown).collect::<Vec<_>>().join("/")
}
