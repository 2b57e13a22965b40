//! A base that is an OCI layout: a directory with `oci-layout`, `index.json` and `blobs/`.

use bytes::Bytes;

use super::super::super::{Build, BuildError};
use super::super::composition::Image;
use super::super::parts::document;
use super::super::parts::refused;
use super::documents::Documents;
use super::{archive, shown_platform};
use crate::digest::Digest;
use crate::oci::{Descriptor, Index, MAX_DOCUMENT_BYTES, MediaType, OciDigest, Platform};
use crate::source::lookup;
use crate::spec::RelativePath;
use crate::store::Node;

/// Indexes in one another.
const MAX_DEPTH: usize = 4;

/// Returns the image in a layout that runs best on a platform, or the only one.
///
/// # Errors
/// `Failed` when there is none, or something is not as its digest says.
pub(super) async fn image(build: &Build<'_>, platform: &Platform, root: Digest) -> Result<Image, BuildError> {
    let layout = Layout { build, root };
    let (manifest, named) = layout.manifest(platform).await?;
    let config = crate::oci::Manifest::parse(&manifest).map_err(|error| refused(build, "base", &error))?.config;
    let config = layout.document(&config).await?;
    let documents = Documents::parse(build, &manifest, &config)?;
    documents.check_platform(build, named.as_ref())?;
    let layout = &layout;
    documents.image(build, &|number, layer| Box::pin(layout.layer(number, layer))).await
}

struct Layout<'a> {
    build: &'a Build<'a>,
    root: Digest,
}

impl Layout<'_> {
    /// Returns the manifest to take, and the platform for which it is said to be.
    async fn manifest(&self, platform: &Platform) -> Result<(Bytes, Option<Platform>), BuildError> {
        let mut bytes = self.read("index.json").await?;
        for _ in 0..MAX_DEPTH {
            let index = Index::parse(&bytes).map_err(|error| refused(self.build, "base: `index.json`", &error))?;
            let chosen = self.choose(&index, platform)?;
            bytes = self.document(chosen).await?;
            if matches!(chosen.media_type, MediaType::Manifest(_)) {
                return Ok((bytes, chosen.platform.clone()));
            }
        }
        Err(BuildError::refused(self.build, format!("base: more than {MAX_DEPTH} indexes lie in one another")))
    }

    fn choose<'i>(&self, index: &'i Index, platform: &Platform) -> Result<&'i Descriptor, BuildError> {
        let usable = |entry: &&Descriptor| matches!(entry.media_type, MediaType::Manifest(_) | MediaType::Index(_));
        let usable: Vec<&Descriptor> = index.manifests.iter().filter(usable).collect();
        if let [one] = usable[..] {
            return Ok(one);
        }
        let platforms = || {
            let platforms = usable.iter().map(|entry| entry.platform.as_ref().map_or("?".to_owned(), shown_platform));
            platforms.collect::<Vec<_>>().join(", ")
        };
        index.choose(platform).ok_or_else(|| {
            let wanted = shown_platform(platform);
            let reason = match usable.len() {
                0 => "base: `index.json` names no image".to_owned(),
                count => format!("base: none of its {count} images is for `{wanted}`, but for: {}", platforms()),
            };
            BuildError::refused(self.build, reason)
        })
    }

    /// Returns a document, which is what its descriptor says.
    async fn document(&self, descriptor: &Descriptor) -> Result<Bytes, BuildError> {
        let path = blob_path(descriptor);
        let bytes = self.read(&path).await?;
        if bytes.len() as u64 != descriptor.size || OciDigest::of(&bytes) != descriptor.digest {
            return Err(self.other(&path, descriptor));
        }
        Ok(bytes)
    }

    async fn layer(&self, number: usize, layer: Descriptor) -> Result<crate::oci::ReadLayer, BuildError> {
        let path = blob_path(&layer);
        let digest = self.file(&path).await?;
        if digest.size() != layer.size {
            return Err(self.other(&path, &layer));
        }
        archive::stored(self.build, &format!("base: layer {number}, `{path}`"), digest).await
    }

    fn other(&self, path: &str, descriptor: &Descriptor) -> BuildError {
        let reason = format!("base: `{path}` is not what names it says: {} bytes of that digest", descriptor.size);
        BuildError::refused(self.build, reason)
    }

    /// Reads a small file.
    async fn read(&self, path: &str) -> Result<Bytes, BuildError> {
        let digest = self.file(path).await?;
        if digest.size() > MAX_DOCUMENT_BYTES as u64 {
            let reason = format!("base: `{path}` is larger than {MAX_DOCUMENT_BYTES} bytes");
            return Err(BuildError::refused(self.build, reason));
        }
        document(self.build, &digest, "document of an image").await
    }

    async fn file(&self, path: &str) -> Result<Digest, BuildError> {
        let relative = RelativePath::parse(path).expect("a name, or a hash in a directory");
        match lookup(self.build.store, self.root, &relative).await? {
            Some(Node::File { digest, .. }) => Ok(digest),
            Some(Node::Directory { .. } | Node::Symlink { .. }) | None => {
                Err(BuildError::refused(self.build, format!("base: the OCI layout has no file `{path}`")))
            }
        }
    }
}

fn blob_path(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest.hash())
}
