//! Archives of objects, made piece by piece while they are sent.
//!
//! Every blob is verified by the store when it is read, and the record of the object names the root of the tree, from
//! which the archive follows: its hash is not computed again. Its length is seen to. When a blob turns out to be lost
//! the body is broken off, which the client notices, and every object is checked anew from then on.

use std::error::Error;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc::channel;

use super::range::{Part, wanted};
use super::{Cache, Found};
use crate::nix::{Compression, NarError, send_nar};
use crate::store::blocking;

/// Pieces that may wait for the client, of a quarter of a mebibyte each: as much as is read ahead.
const PIECES: usize = 16;
/// How hard zstd tries.
const LEVEL: i32 = 3;
const KIND: (HeaderName, &str) = (CONTENT_TYPE, "application/x-nix-nar");

/// Why a body was broken off.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error(transparent)]
    Archive(#[from] NarError),
    #[error("cannot compress an archive")]
    Compress(#[source] io::Error),
    #[error("an archive has another length than its record says: {length} bytes")]
    Length { length: u64 },
}

type Pieces = BoxStream<'static, Result<Bytes, BrokenOff>>;

/// Answers with the archive of an object, or with a part of it.
pub(super) fn answer(cache: &Cache, found: Found, compression: Compression, headers: &HeaderMap) -> Response {
    if compression == Compression::Zstd {
        return match compressed(pieces(found, Arc::clone(&cache.scratch))) {
            Ok(body) => ([KIND], Body::from_stream(body)).into_response(),
            Err(error) => {
                tracing::error!(%error, "cannot compress an archive");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        };
    }
    let size = found.object.info.nar.size();
    let tag = format!("\"{}\"", found.object.info.nar_hash_base32());
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    if text(IF_NONE_MATCH) == Some(&tag) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    let same = text(IF_RANGE).is_none_or(|known| known == tag);
    let range = match text(RANGE).filter(|_| same).map_or(Part::Whole, |range| wanted(range, size)) {
        Part::Whole => 0..size,
        Part::Bytes(range) => range,
        Part::Beyond => {
            let length = [(CONTENT_RANGE, format!("bytes */{size}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, length).into_response();
        }
    };
    let general = [(CONTENT_LENGTH, (range.end - range.start).to_string()), (ETAG, tag)];
    let partial = range != (0..size);
    let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    let body = Body::from_stream(part(pieces(found, Arc::clone(&cache.scratch)), range, size));
    let whole = ([KIND, (ACCEPT_RANGES, "bytes")], general, body);
    if partial {
        (StatusCode::PARTIAL_CONTENT, [(CONTENT_RANGE, shown)], whole).into_response()
    } else {
        whole.into_response()
    }
}

/// Returns the archive of an object. Nothing is read before the first piece is asked for.
fn pieces(found: Found, scratch: Arc<Path>) -> Pieces {
    let (sender, receiver) = channel(PIECES);
    let sending = async move {
        let Found { object, resolver } = found;
        let sent = send_nar(resolver.store(), object.node, &scratch, sender).await;
        sent.inspect_err(|error| {
            let error = error as &dyn Error;
            tracing::error!(path = %object.path, error, "broke off an archive: every object is checked anew");
            resolver.paths().doubt_all();
        })
    };
    let failure =
        stream::once(sending).filter_map(|sent| std::future::ready(sent.err().map(|error| Err(error.into()))));
    let sent = stream::unfold(receiver, |mut receiver| async move { Some((Ok(receiver.recv().await?), receiver)) });
    // Both are polled in turn, so the archive is made while what is made is sent.
    stream::select(sent, failure).boxed()
}

/// Cuts a part out of the `size` bytes of an archive, and sees to it that there are so many.
fn part(pieces: Pieces, range: Range<u64>, size: u64) -> impl Stream<Item = Result<Bytes, BrokenOff>> {
    let end = range.end;
    stream::try_unfold((pieces, 0_u64), move |(mut pieces, mut at)| {
        let range = range.clone();
        async move {
            // What comes after the last part matters only when it should be the end.
            while at < end || end == size {
                let Some(piece) = pieces.next().await.transpose()? else {
                    return if at == size { Ok(None) } else { Err(BrokenOff::Length { length: at }) };
                };
                let length = piece.len() as u64;
                if at + length > size {
                    return Err(BrokenOff::Length { length: at + length });
                }
                let bounds = [range.start, end].map(|bound| bound.saturating_sub(at).min(length));
                let [first, last] = bounds.map(|bound| usize::try_from(bound).expect("within the piece"));
                at += length;
                if first < last {
                    return Ok(Some((piece.slice(first..last), (pieces, at))));
                }
            }
            Ok(None)
        }
    })
}

type Encoder = zstd::stream::write::Encoder<'static, Vec<u8>>;

/// Compresses what comes.
fn compressed(pieces: Pieces) -> io::Result<impl Stream<Item = Result<Bytes, BrokenOff>>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a part out of ten bytes that come in pieces, and says whether that went well.
    async fn cut(range: Range<u64>, pieces: &[&'static [u8]]) -> (Vec<u8>, bool) {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
        let mut parts = Box::pin(part(stream::iter(pieces).boxed(), range, 10));
        let mut all = Vec::new();
        while let Some(part) = parts.next().await {
            match part {
                Ok(part) => all.extend_from_slice(&part),
                Err(_) => return (all, false),
            }
        }
        (all, true)
    }

    #[tokio::test]
    async fn any_part_is_cut_out_of_any_pieces() {
        let whole = b"0123456789";
        for pieces in [&[&whole[..]][..], &[b"0", b"12345", b"", b"6789"], &[b"01234", b"56789"]] {
            for start in 0..10 {
                for end in start + 1..=10 {
                    let expected = whole[start..end].to_vec();
                    assert_eq!(cut(start as u64..end as u64, pieces).await, (expected, true), "{start}-{end}");
                }
            }
        }
    }

    #[tokio::test]
    async fn an_archive_of_another_length_is_broken_off() {
        assert_eq!(cut(0..10, &[b"01234567"]).await, (b"01234567".to_vec(), false));
        assert_eq!(cut(5..8, &[b"012"]).await, (Vec::new(), false));
        assert!(!cut(0..10, &[b"0123456789", b"0"]).await.1);
        // Whoever wants the beginning alone gets that.
        assert_eq!(cut(0..5, &[b"01234567"]).await, (b"01234".to_vec(), true));
    }
}
