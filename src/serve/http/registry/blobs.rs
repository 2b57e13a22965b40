//! Blobs: configurations and layers of images, and what was pushed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use tempfile::NamedTempFile;

use super::super::body::{PIECE_BYTES, WrongLength, made, part};
use super::super::range::{self, Content};
use super::Registry;
use super::error::{Asked, RegistryError};
use super::find::{Blob, Found};
use super::layers;
use super::manifests;
use crate::digest::Digest;
use crate::oci::{OciDigest, Part, Pushed, StoredImage};
use crate::serve::resolve::Resolver;
use crate::store::{BATCH_BYTES, StoreError, blocking};

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
    headers: &HeaderMap,
    head: bool,
) -> Result<Response, RegistryError> {
    match registry.find(Asked::Blob, &digest).await? {
        Blob::Pushed(pushed, resolver) => pushed_blob(registry, &digest, &pushed, &resolver, headers, head).await,
        Blob::Part(found, Part::Config) => {
            let bytes = config(&found).await?;
            checked(&digest, &bytes)?;
            Ok(whole(&digest, KIND, bytes, headers))
        }
        Blob::Part(mut found, Part::Manifest(form)) => {
            let bytes = manifests::written(registry, &mut found, form).await?;
            checked(&digest, &bytes)?;
            Ok(whole(&digest, KIND, bytes, headers))
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
pub(super) fn whole(digest: &OciDigest, kind: &str, bytes: Bytes, headers: &HeaderMap) -> Response {
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
        return Ok(whole(digest, KIND, bytes, headers));
    }
    let file = temporary(registry, resolver, &pushed.blob).await?.ok_or_else(evicted)?;
    Ok(sent(digest, KIND, size, headers, |range| file_body(file, range)))
}

/// Returns a file with a blob, verified, or `None` when it is not in the CAS.
async fn temporary(
    registry: &Registry,
    resolver: &Resolver,
    blob: &Digest,
) -> Result<Option<NamedTempFile>, RegistryError> {
    match resolver.store().get_temporary(blob, &registry.scratch, "pushed blob").await {
        Ok(file) => Ok(Some(file)),
        Err(StoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns a part of a file, which goes when it is sent.
fn file_body(file: NamedTempFile, range: Range<u64>) -> Body {
    let length = range.end - range.start;
    let pieces = made(move |sender| async move {
        let (mut open, mut left) = (blocking(move || open_at(&file, range.start)).await?, length);
        while left > 0 {
            let (again, piece) = blocking(move || read_piece(open, left)).await?;
            left -= piece.len() as u64;
            if piece.is_empty() || sender.send(piece).await.is_err() {
                break;
            }
            open = again;
        }
        Ok::<(), BrokenOff>(())
    });
    Body::from_stream(part(pieces, 0..length, length))
}

fn open_at(file: &NamedTempFile, start: u64) -> io::Result<File> {
    let mut open = file.reopen()?;
    open.seek(SeekFrom::Start(start))?;
    Ok(open)
}

/// Reads the next piece of a file, at most so many bytes; it is empty at the end. Blocks.
fn read_piece(mut file: File, left: u64) -> io::Result<(File, Bytes)> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    Read::by_ref(&mut file).take(left.min(PIECE_BYTES as u64)).read_to_end(&mut piece)?;
    Ok((file, piece.into()))
}
