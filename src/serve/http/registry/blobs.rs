//! Blobs: configurations and layers of images, and what was pushed.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::Response;
use bytes::Bytes;
use tempfile::NamedTempFile;

use super::super::body::{WrongLength, made, part};
use super::super::range::{self, Content};
use super::Registry;
use super::error::{Asked, RegistryError};
use super::find::{Blob, Found};
use super::layers;
use super::manifests;
use crate::digest::Digest;
use crate::oci::{OciDigest, Part, Pushed, StoredImage};
use crate::serve::admission::Rights;
use crate::serve::resolve::Resolver;
use crate::store::pieces::send_file;
use crate::store::{BATCH_BYTES, StoreError};

/// The header that says what was sent.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const KIND: &str = "application/octet-stream";

/// Why a body was broken off.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error("cannot read a file that was just written")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Length(#[from] WrongLength),
}

/// Answers with a blob, or with a part of it.
pub(super) async fn answer(
    registry: &Arc<Registry>,
    digest: OciDigest,
    head: &Parts,
) -> Result<Response, RegistryError> {
    let (headers, head_only) = (&head.headers, head.method == Method::HEAD);
    match registry.find(Asked::Blob, &digest, Rights::among(head.extensions.get())).await? {
        Blob::Pushed(pushed, resolver) => pushed_blob(registry, &digest, &pushed, &resolver, headers, head_only).await,
        Blob::Part(found, Part::Config) => {
            let bytes = config(&found).await?;
            checked(&digest, &bytes)?;
            Ok(whole(&digest, KIND, &bytes, headers))
        }
        Blob::Part(found, Part::Manifest(form)) => {
            let bytes = manifests::written(registry, &found, form).await?;
            checked(&digest, &bytes)?;
            Ok(whole(&digest, KIND, &bytes, headers))
        }
        Blob::Part(found, Part::Layer { number, compression }) => {
            let layer = registry.layer(*found, number, compression, &digest).await?;
            let size = layer.blob.size();
            let body = |range| layers::body(Arc::clone(registry), layer, range);
            Ok(sent(&digest, KIND, size, headers, body))
        }
    }
}

/// Returns the configuration of an image.
pub(super) async fn config(found: &Found) -> Result<Bytes, RegistryError> {
    let store = found.resolver.store();
    let config = StoredImage::read(store, found.image.root).await?.config;
    let missing = StoreError::Missing { digest: config, role: "configuration of an image" };
    Ok(store.get(&config).await?.ok_or(missing)?)
}

fn checked(digest: &OciDigest, bytes: &[u8]) -> Result<(), RegistryError> {
    let made = OciDigest::of(bytes);
    if made == *digest { Ok(()) } else { Err(RegistryError::Corrupt { digest: *digest, made }) }
}

/// Answers with something that is in memory.
pub(super) fn whole(digest: &OciDigest, kind: &str, bytes: &Bytes, headers: &HeaderMap) -> Response {
    let cut = |range: Range<u64>| {
        let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).expect("within the bytes"));
        Body::from(bytes.slice(start..end))
    };
    sent(digest, kind, bytes.len() as u64, headers, cut)
}

fn sent(
    digest: &OciDigest,
    kind: &str,
    size: u64,
    headers: &HeaderMap,
    body: impl FnOnce(Range<u64>) -> Body,
) -> Response {
    let tag = digest.to_string();
    let mut response = range::answer(headers, &Content { kind, size, tag: &tag }, body);
    response.headers_mut().insert(CONTENT_DIGEST, HeaderValue::from_str(&tag).expect("hexadecimal"));
    response
}

/// Answers with what was pushed, as it was.
async fn pushed_blob(
    registry: &Registry,
    digest: &OciDigest,
    pushed: &Pushed,
    resolver: &Resolver,
    headers: &HeaderMap,
    head: bool,
) -> Result<Response, RegistryError> {
    let evicted = || RegistryError::Evicted { asked: Asked::Blob, digest: *digest };
    let size = pushed.blob.size();
    if head {
        return Ok(sent(digest, KIND, size, headers, |_| Body::empty()));
    }
    if size <= BATCH_BYTES {
        let bytes = resolver.store().get(&pushed.blob).await?.ok_or_else(evicted)?;
        return Ok(whole(digest, KIND, &bytes, headers));
    }
    let file = registry.file(resolver, &pushed.blob).await?.ok_or_else(evicted)?;
    Ok(sent(digest, KIND, size, headers, |range| file_body(file, range, size)))
}

impl Registry {
    /// Returns a file with a blob, verified, or `None` when it is not in the CAS.
    pub(super) async fn file(
        &self,
        resolver: &Resolver,
        blob: &Digest,
    ) -> Result<Option<NamedTempFile>, RegistryError> {
        match resolver.store().get_temporary(blob, &self.scratch, "blob of the registry").await {
            Ok(file) => Ok(Some(file)),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns a part of a file, which goes when it is sent.
fn file_body(file: NamedTempFile, range: Range<u64>, size: u64) -> Body {
    let pieces = made(move |sender| async move { send_file(file, &sender).await.map_err(BrokenOff::Read) });
    Body::from_stream(part(pieces, range, size))
}
