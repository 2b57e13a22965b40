//! What clients write: archives, which wait in files, and narinfos, which make objects of them.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;

use super::super::incoming::{drain, length, next};
use super::super::room::Place;
use super::address::is_hash_part;
use super::pending::Pending;
use super::{Cache, CacheError};
use crate::nix::{MAX_NARINFO_BYTES, NarInfoError, PublicKey};
use crate::store::blocking;

/// Bytes that are gathered before they are written.
const GATHERED: usize = 1 << 20;
/// Archives that are unpacked at a time; each takes two threads.
const UNPACKED_AT_ONCE: usize = 4;
/// Longest name of an archive.
const MAX_NAME: usize = 255;

/// What is being uploaded.
pub(super) struct Uploads {
    pub(super) pending: Pending,
    pub(super) trusted: Vec<PublicKey>,
    pub(super) unpacking: Semaphore,
    scratch: Arc<Path>,
}

impl Uploads {
    pub(super) fn new(scratch: Arc<Path>, trusted: Vec<PublicKey>) -> Self {
        Self { pending: Pending::new(), trusted, unpacking: Semaphore::new(UNPACKED_AT_ONCE), scratch }
    }
}

/// What a client may write.
enum Target<'a> {
    NarInfo {
        hash_part: &'a str,
    },
    Nar,
    /// The list of files in an archive, which `nix copy` writes when it is asked to. It is not kept.
    Listing,
}

impl<'a> Target<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        if let Some(name) = path.strip_prefix("nar/") {
            let usable = !name.is_empty() && name.len() <= MAX_NAME && !name.contains('/');
            return usable.then_some(Self::Nar);
        }
        if let Some(hash_part) = path.strip_suffix(".narinfo") {
            return is_hash_part(hash_part).then_some(Self::NarInfo { hash_part });
        }
        path.strip_suffix(".ls").filter(|hash_part| is_hash_part(hash_part)).map(|_| Self::Listing)
    }
}

/// Takes what a client writes.
pub(super) async fn put(cache: &Cache, path: &str, headers: &HeaderMap, body: Body) -> Result<Response, CacheError> {
    let mut body = body.into_data_stream();
    let taken = take(cache, path, headers, &mut body).await;
    if taken.is_err() {
        drain(headers, body).await;
    }
    taken
}

async fn take(
    cache: &Cache,
    path: &str,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<Response, CacheError> {
    let uploads = cache.uploads.as_ref().ok_or(CacheError::UploadsOff)?;
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(CacheError::Encoding);
    }
    // Below `zstd/` lies the same cache.
    let path = path.strip_prefix("zstd/").unwrap_or(path);
    let name = || path.chars().take(MAX_NAME).collect();
    match Target::parse(path).ok_or_else(|| CacheError::Name { name: name() })? {
        Target::Nar => {
            let mut place = uploads.pending.place(length(headers))?;
            let file = receive(body, &mut place, &uploads.scratch).await?;
            uploads.pending.keep(path.to_owned(), file, place);
            Ok(StatusCode::CREATED.into_response())
        }
        Target::NarInfo { hash_part } => {
            let text = receive_text(body).await?;
            cache.register(uploads, hash_part, &text).await?;
            Ok(StatusCode::CREATED.into_response())
        }
        Target::Listing => {
            receive_text(body).await?;
            Ok(StatusCode::OK.into_response())
        }
    }
}

/// Writes a body to a file, for which a place is taken.
async fn receive(
    body: &mut BodyDataStream,
    place: &mut Place,
    scratch: &Arc<Path>,
) -> Result<NamedTempFile, CacheError> {
    let scratch = Arc::clone(scratch);
    let mut file = blocking(move || NamedTempFile::new_in(scratch)).await.map_err(CacheError::Io)?;
    let mut gathered = Vec::new();
    loop {
        let bytes = next(body).await?;
        let ended = bytes.is_none();
        if let Some(bytes) = bytes {
            place.grow(bytes.len() as u64)?;
            gathered.extend_from_slice(&bytes);
        }
        if ended || gathered.len() >= GATHERED {
            let write = move || file.write_all(&gathered).map(|()| (file, gathered));
            (file, gathered) = blocking(write).await.map_err(CacheError::Io)?;
            gathered.clear();
        }
        if ended {
            return Ok(file);
        }
    }
}

/// Returns a body that is short, and text.
async fn receive_text(body: &mut BodyDataStream) -> Result<String, CacheError> {
    let mut text = Vec::new();
    while let Some(bytes) = next(body).await? {
        text.extend_from_slice(&bytes);
        if text.len() > MAX_NARINFO_BYTES {
            return Err(NarInfoError::TooLarge { size: text.len() }.into());
        }
    }
    // What is no UTF-8 becomes a value that nothing can have.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn a_body_that_stops_or_is_too_long_is_refused() {
        let stream = |body: Body| body.into_data_stream();
        let stopped = futures::stream::iter([Ok(Bytes::from_static(b"a")), Err(std::io::Error::other("gone"))]);
        let error = receive_text(&mut stream(Body::from_stream(stopped))).await.expect_err("stopped");
        assert!(matches!(error, CacheError::Interrupted(_)), "{error:?}");
        let error = receive_text(&mut stream(vec![b'x'; MAX_NARINFO_BYTES + 1].into())).await.expect_err("long");
        assert!(matches!(error, CacheError::NarInfo(NarInfoError::TooLarge { .. })), "{error:?}");
        assert_eq!(receive_text(&mut stream("text".into())).await.expect("short"), "text");
    }

    #[test]
    fn only_what_nix_copies_is_taken() {
        let hash = "0".repeat(32);
        assert!(matches!(Target::parse("nar/x.nar.xz"), Some(Target::Nar)));
        assert!(matches!(Target::parse(&format!("{hash}.narinfo")), Some(Target::NarInfo { .. })));
        assert!(matches!(Target::parse(&format!("{hash}.ls")), Some(Target::Listing)));
        let long = format!("nar/{}", "x".repeat(256));
        for other in ["", "nar/", "nar/a/b", &long, "x.narinfo", "x.ls", "log/x.drv", "nix-cache-info", "public-key"] {
            assert!(Target::parse(other).is_none(), "{other}");
        }
    }
}
