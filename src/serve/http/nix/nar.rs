//! Archives of objects, made piece by piece while they are sent.
//!
//! Every blob is verified by the store when it is read, and the record of the object names the root of the tree, from
//! which the archive follows: its hash is not computed again. Its length is seen to. When a blob turns out to be lost
//! the body is broken off, which the client notices, and every object is checked anew from then on.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};

use super::super::body::{Pieces, WrongLength, made, part};
use super::super::range::{self, Content};
use super::{Cache, Found};
use crate::nix::{Compression, NarError, send_nar};
use crate::store::blocking;

/// How hard zstd tries.
const LEVEL: i32 = 3;
const KIND: &str = "application/x-nix-nar";

/// Why a body was broken off.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error(transparent)]
    Archive(#[from] NarError),
    #[error("cannot compress an archive")]
    Compress(#[source] io::Error),
    #[error(transparent)]
    Length(#[from] WrongLength),
}

/// Answers with the archive of an object, or with a part of it.
pub(super) fn answer(cache: &Cache, found: Found, compression: Compression, headers: &HeaderMap) -> Response {
    let scratch = Arc::clone(&cache.scratch);
    if compression == Compression::Zstd {
        return match compressed(pieces(found, scratch)) {
            Ok(body) => ([(CONTENT_TYPE, KIND)], Body::from_stream(body)).into_response(),
            Err(error) => {
                tracing::error!(%error, "cannot compress an archive");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        };
    }
    let (size, tag) = (found.object.info.nar.size(), found.object.info.nar_hash_base32());
    let content = Content { kind: KIND, size, tag: &tag };
    range::answer(headers, &content, |range| Body::from_stream(part(pieces(found, scratch), range, size)))
}

/// Returns the archive of an object. Nothing is read before the first piece is asked for.
fn pieces(found: Found, scratch: Arc<Path>) -> Pieces<BrokenOff> {
    made(|sender| async move {
        let Found { object, resolver } = found;
        let sent = send_nar(resolver.store(), object.node, &scratch, sender).await;
        Ok(sent.inspect_err(|error| {
            let error = error as &dyn Error;
            tracing::error!(path = %object.path, error, "broke off an archive: every object is checked anew");
            resolver.paths().doubt_all();
        })?)
    })
}

type Encoder = zstd::stream::write::Encoder<'static, Vec<u8>>;

/// Compresses what comes.
fn compressed(pieces: Pieces<BrokenOff>) -> io::Result<impl Stream<Item = Result<Bytes, BrokenOff>>> {
    let encoder = Encoder::new(Vec::new(), LEVEL)?;
    Ok(stream::try_unfold((pieces, Some(encoder)), |(mut pieces, mut encoder)| async move {
        while let Some(current) = encoder.take() {
            let Some(piece) = pieces.next().await.transpose()? else {
                let last = blocking(move || current.finish()).await.map_err(BrokenOff::Compress)?;
                return Ok(Some((Bytes::from(last), (pieces, None))));
            };
            let (next, made) = blocking(move || compress(current, &piece)).await.map_err(BrokenOff::Compress)?;
            encoder = Some(next);
            if !made.is_empty() {
                return Ok(Some((made, (pieces, encoder))));
            }
        }
        Ok(None)
    }))
}

/// Compresses a piece, and returns what came of it and of those before. Blocks.
fn compress(mut encoder: Encoder, piece: &[u8]) -> io::Result<(Encoder, Bytes)> {
    encoder.write_all(piece)?;
    let made = std::mem::take(encoder.get_mut());
    Ok((encoder, made.into()))
}
