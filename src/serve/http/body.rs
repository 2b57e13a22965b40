//! Bodies that are made piece by piece while they are sent.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc::{Sender, channel};

/// Pieces that may wait for the client, of a quarter of a mebibyte each: as much as is read ahead.
const PIECES: usize = 16;

/// What is sent. An error breaks the body off, which the client notices.
pub(super) type Pieces<E> = BoxStream<'static, Result<Bytes, E>>;

/// What was made has not the length that was promised.
#[derive(Debug, thiserror::Error)]
#[error("a body has another length than was promised: {length} bytes")]
pub(super) struct WrongLength {
    /// The length, or where it passed the promised one.
    length: u64,
}

/// Returns what `make` sends. Nothing is made before the first piece is asked for, and little more than was asked for.
pub(super) fn made<E, F>(make: impl FnOnce(Sender<Bytes>) -> F) -> Pieces<E>
where
    E: Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
{
    let (sender, receiver) = channel(PIECES);
    let failure = stream::once(make(sender)).filter_map(|sent| std::future::ready(sent.err().map(Err)));
    let sent = stream::unfold(receiver, |mut receiver| async move { Some((Ok(receiver.recv().await?), receiver)) });
    // Both are polled in turn, so the body is made while what is made is sent.
    stream::select(sent, failure).boxed()
}

/// Cuts a part out of the `size` bytes of a body, and sees to it that there are so many.
pub(super) fn part<E: From<WrongLength> + Send + 'static>(
    pieces: Pieces<E>,
    range: Range<u64>,
    size: u64,
) -> impl Stream<Item = Result<Bytes, E>> {
    let end = range.end;
    stream::try_unfold((pieces, 0_u64), move |(mut pieces, mut at)| {
        let range = range.clone();
        async move {
            // What comes after the last part matters only when it should be the end.
            while at < end || end == size {
                let Some(piece) = pieces.next().await.transpose()? else {
                    return if at == size { Ok(None) } else { Err(WrongLength { length: at }.into()) };
                };
                let length = piece.len() as u64;
                if at + length > size {
                    return Err(WrongLength { length: at + length }.into());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a part out of ten bytes that come in pieces, and says whether that went well.
    async fn cut(range: Range<u64>, pieces: &[&'static [u8]]) -> (Vec<u8>, bool) {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
        let pieces = stream::iter(pieces).boxed() as Pieces<WrongLength>;
        let mut parts = Box::pin(part(pieces, range, 10));
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
