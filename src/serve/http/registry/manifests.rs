//! Manifests: as they lie in the CAS, or in the form that a client asks for.

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;

use super::Registry;
use super::address::Reference;
use super::blobs::whole;
use super::error::{Asked, RegistryError};
use super::find::{Blob, Found};
use crate::oci::{
    Descriptor, Family, Form, ImageForms, LayerCompression, Manifest, MediaType, OciDigest, Part, StoredImage,
};
use crate::serve::admission::Rights;
use crate::store::StoreError;

/// What stands at the end of a tag that names the same image with compressed layers.
const SUFFIXES: [(&str, LayerCompression); 2] = [("-gzip", LayerCompression::Gzip), ("-zstd", LayerCompression::Zstd)];
/// Most media types that a client can say it accepts.
const MAX_ACCEPTED: usize = 100;

/// Answers with a manifest.
pub(super) async fn answer(
    registry: &Registry,
    name: &str,
    reference: Reference<'_>,
    headers: &HeaderMap,
    rights: Rights,
) -> Result<Response, RegistryError> {
    let (digest, form) = match reference {
        Reference::Digest(digest) => (digest, None),
        Reference::Tag(tag) => {
            let (digest, compression) = tagged(registry, name, tag).await?;
            (digest, Some(Form { family: family(headers), compression }))
        }
    };
    match registry.find(Asked::Manifest, &digest, rights).await? {
        Blob::Part(found, Part::Manifest(own)) => {
            let form = form.unwrap_or(own);
            let bytes = written(registry, &found, form).await?;
            let made = OciDigest::of(&bytes);
            if reference == Reference::Digest(digest) && made != digest {
                return Err(RegistryError::OtherVersion { asked: Asked::Manifest, digest });
            }
            Ok(whole(&made, MediaType::Manifest(form.family).as_str(), &bytes, headers))
        }
        Blob::Pushed(pushed, resolver) => {
            if let (
                Reference::Tag(tag),
                Some(Form { compression: LayerCompression::Gzip | LayerCompression::Zstd, .. }),
            ) = (reference, form)
            {
                return Err(RegistryError::UnknownTag { name: name.to_owned(), tag: tag.to_owned() });
            }
            let kind = pushed.media_type.ok_or(RegistryError::Unknown { asked: Asked::Manifest, digest })?;
            let evicted = RegistryError::Evicted { asked: Asked::Manifest, digest };
            let bytes = resolver.store().get(&pushed.blob).await?.ok_or(evicted)?;
            Ok(whole(&digest, kind.as_str(), &bytes, headers))
        }
        Blob::Part(_, Part::Config | Part::Layer { .. }) => {
            Err(RegistryError::Unknown { asked: Asked::Manifest, digest })
        }
    }
}

/// Returns the manifest to which a tag leads, and how layers are to be compressed.
async fn tagged(registry: &Registry, name: &str, tag: &str) -> Result<(OciDigest, LayerCompression), RegistryError> {
    let known = registry.known().await?;
    if let Some(digest) = known.tag(name, tag).await? {
        return Ok((digest, LayerCompression::None));
    }
    for (suffix, compression) in SUFFIXES {
        if let Some(tag) = tag.strip_suffix(suffix)
            && let Some(digest) = known.tag(name, tag).await?
        {
            return Ok((digest, compression));
        }
    }
    Err(RegistryError::UnknownTag { name: name.to_owned(), tag: tag.to_owned() })
}

/// Returns whose media types a client takes: those of OCI, unless it takes Docker's alone.
fn family(headers: &HeaderMap) -> Family {
    let values = headers.get_all(ACCEPT).into_iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    let mut docker = false;
    for accepted in values.flat_map(|value| value.split(',')).take(MAX_ACCEPTED) {
        let kind = accepted.split(';').next().unwrap_or_default().trim();
        match MediaType::from(kind.to_owned()) {
            MediaType::Manifest(Family::Docker) => docker = true,
            MediaType::Manifest(Family::Oci) => return Family::Oci,
            _ => {}
        }
    }
    if docker { Family::Docker } else { Family::Oci }
}

/// Returns the manifest of an image in a form, and remembers the blobs that it names.
///
/// # Errors
/// When the image cannot be read, or a layer cannot be compressed.
pub(super) async fn written(registry: &Registry, found: &Found, form: Form) -> Result<Bytes, RegistryError> {
    let layers = registry.all_compressed(found, form.compression).await?;
    let stored = stored(found).await?;
    if form == Form::STORED {
        return Ok(stored);
    }
    let mut manifest = Manifest::parse(&stored)?;
    manifest.family = form.family;
    manifest.config.media_type = MediaType::Config(form.family);
    let kind = MediaType::Layer(form.family, form.compression);
    for (layer, blob) in manifest.layers.iter_mut().zip(&layers) {
        let digest = OciDigest::from_digest(blob).expect("layers are hashed with SHA-256");
        *layer = Descriptor { media_type: kind.clone(), digest, size: blob.size(), ..layer.clone() };
    }
    let bytes = Bytes::from(manifest.canonical());
    let forms = ImageForms { manifest: OciDigest::of(&bytes).with_size(bytes.len() as u64), layers };
    registry.known().await?.put_forms(&found.manifest, form, &forms).await?;
    Ok(bytes)
}

/// Returns the manifest that lies in the CAS.
async fn stored(found: &Found) -> Result<Bytes, RegistryError> {
    let store = found.resolver.store();
    let digest = StoredImage::read(store, found.image.root).await?.manifest;
    let missing = StoreError::Missing { digest, role: "manifest of an image" };
    let bytes = store.get(&digest).await?.ok_or(missing)?;
    let made = OciDigest::of(&bytes);
    if made == found.manifest { Ok(bytes) } else { Err(RegistryError::Corrupt { digest: found.manifest, made }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_takes_nothing_else_gets_dockers_form() {
        let accepting = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            });
            family(&headers)
        };
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        let oci = "application/vnd.oci.image.manifest.v1+json";
        assert_eq!(accepting(&[]), Family::Oci);
        assert_eq!(accepting(&["*/*"]), Family::Oci);
        assert_eq!(accepting(&[docker]), Family::Docker);
        assert_eq!(
            accepting(&["application/vnd.docker.distribution.manifest.v2+json;q=0.5, text/html"]),
            Family::Docker
        );
        assert_eq!(accepting(&[docker, oci]), Family::Oci);
    }
}
