//! Manifests that are pushed: taken as they are, once everything that they name is here.

use axum::body::{Body, BodyDataStream};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::incoming::{drain, next};
use super::Registry;
use super::address::Reference;
use super::blobs::CONTENT_DIGEST;
use super::error::RegistryError;
use crate::oci::{
    Descriptor, DocumentError, Form, Index, KnownBlob, KnownImage, MAX_DOCUMENT_BYTES, Manifest, MediaType, OciDigest,
    Part, Pushed,
};
use crate::spec::shown;

/// How tags begin that the registry gives itself.
const KEY: &str = "key-";

/// Takes a manifest or an index.
pub(super) async fn manifest(
    registry: &Registry,
    name: &str,
    reference: Reference<'_>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, RegistryError> {
    let mut body = body.into_data_stream();
    let taken = take(registry, name, reference, headers, &mut body).await;
    if taken.is_err() {
        drain(headers, body).await;
    }
    let digest = taken?;
    let headers = [(LOCATION, format!("/v2/{name}/manifests/{digest}")), (CONTENT_DIGEST, digest.to_string())];
    Ok((StatusCode::CREATED, headers).into_response())
}

async fn take(
    registry: &Registry,
    name: &str,
    reference: Reference<'_>,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<OciDigest, RegistryError> {
    if registry.uploads.is_none() {
        return Err(RegistryError::PushOff);
    }
    if let Reference::Tag(tag) = reference
        && tag.starts_with(KEY)
    {
        return Err(RegistryError::Reserved { tag: tag.to_owned() });
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(RegistryError::Encoding);
    }
    let bytes = receive(body).await?;
    let digest = OciDigest::of(&bytes);
    if let Reference::Digest(expected) = reference
        && expected != digest
    {
        return Err(RegistryError::OtherContent { expected, actual: digest });
    }
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or("?"));
    let (media_type, named) = parse(kind, &bytes)?;
    for descriptor in &named {
        if !registry.has(descriptor).await? {
            return Err(RegistryError::Reference { digest: descriptor.digest });
        }
    }
    let resolver = registry.backend.resolver().await?;
    let blob = resolver.store().put(resolver.function(), bytes.into()).await?;
    let pushed = Pushed { blob, media_type: Some(media_type) };
    let tag = match reference {
        Reference::Tag(tag) => Some((name, tag)),
        Reference::Digest(_) => None,
    };
    registry.known().await?.put_pushed(&digest, &pushed, tag).await?;
    tracing::info!(name, %digest, "took a manifest into the registry");
    Ok(digest)
}

async fn receive(body: &mut BodyDataStream) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    while let Some(more) = next(body).await? {
        bytes.extend_from_slice(&more);
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::TooLarge { document: "a manifest", size: bytes.len() }.into());
        }
    }
    Ok(bytes)
}

/// Returns what a document is, and what it names. `kind` is what it is said to be.
fn parse(kind: Option<&str>, bytes: &[u8]) -> Result<(MediaType, Vec<Descriptor>), RegistryError> {
    let stated = kind.map(|kind| MediaType::from(kind.split(';').next().unwrap_or_default().trim().to_owned()));
    let manifest = |manifest: Manifest| {
        (manifest.media_type(), std::iter::once(manifest.config).chain(manifest.layers).collect::<Vec<_>>())
    };
    let index = |index: Index| (MediaType::Index(index.family), index.manifests);
    let parsed = match stated {
        Some(MediaType::Index(_)) => index(Index::parse(bytes)?),
        Some(MediaType::Manifest(_)) => manifest(Manifest::parse(bytes)?),
        Some(other) => return Err(RegistryError::MediaType { kind: shown(other.as_str()) }),
        None => Index::parse(bytes).map(index).or_else(|_| Manifest::parse(bytes).map(manifest))?,
    };
    match stated {
        Some(stated) if stated != parsed.0 => Err(RegistryError::MediaType { kind: stated.to_string() }),
        _ => Ok(parsed),
    }
}

impl Registry {
    /// Says whether what a manifest names is here, or can be made, and has the size that it says.
    async fn has(&self, descriptor: &Descriptor) -> Result<bool, RegistryError> {
        let known = self.known().await?;
        for blob in known.blobs(&descriptor.digest).await? {
            match blob {
                KnownBlob::Pushed(pushed) => {
                    if pushed.blob.size() == descriptor.size && self.pushed(&pushed).await?.is_some() {
                        return Ok(true);
                    }
                }
                KnownBlob::Part(manifest, part) => {
                    for image in known.images(&manifest).await? {
                        if self.size(&image, part).await?.is_none_or(|size| size == descriptor.size) {
                            return Ok(true);
                        }
                    }
                }
            }
        }
        Ok(false)
    }

    /// Returns the size of a part of an image, where it is written down.
    async fn size(&self, image: &KnownImage, part: Part) -> Result<Option<u64>, RegistryError> {
        let facts = &image.facts;
        Ok(match part {
            Part::Config => Some(facts.config.size()),
            Part::Manifest(form) => (form == Form::STORED).then(|| facts.manifest.size()),
            Part::Layer { number, compression } => match facts.layers.get(number) {
                Some(archive) => {
                    self.known().await?.compressed(archive, compression).await?.map(|blob| blob.blob.size())
                }
                None => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Annotations, Family};

    fn document(family: Family) -> Vec<u8> {
        let config = Descriptor::of(MediaType::Config(family), b"{}");
        Manifest { family, config, layers: Vec::new(), annotations: Annotations::new() }.canonical()
    }

    #[test]
    fn a_document_is_what_it_is_said_to_be() {
        let (oci, docker) = (document(Family::Oci), document(Family::Docker));
        let kind = |family| MediaType::Manifest(family).to_string();
        let parsed = parse(Some(&kind(Family::Oci)), &oci).expect("so it is");
        assert_eq!((parsed.0, parsed.1.len()), (MediaType::Manifest(Family::Oci), 1));
        assert_eq!(parse(None, &docker).expect("it says so").0, MediaType::Manifest(Family::Docker));
        for wrong in [kind(Family::Docker), MediaType::Index(Family::Oci).to_string(), "text/plain".into()] {
            assert!(parse(Some(&wrong), &oci).is_err(), "{wrong}");
        }
        assert!(parse(None, b"{}").is_err());
    }
}
