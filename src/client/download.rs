//! Downloading blobs: as many workers as cores, each with a connection and a runtime of its own.
//!
//! The thread that receives a blob hashes and writes it while it is in the
//! cache; nothing is handed between threads. Large blobs go first, so that none
//! is left over at the end.

use std::collections::{HashSet, VecDeque};
use std::io::{Seek, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::ClientError;
use super::connect::Reached;
use super::destination::Destination;
use super::events::{Event, Events};
use crate::digest::Digest;
use crate::host::on_all_cores;
use crate::store::{BATCH_BYTES, BlobSink, RemoteBlobStore, StoreError, blocking, wire};

/// Fewest batches that a worker has asked for at a time: one arrives while the other is written.
const FEWEST_IN_FLIGHT: usize = 2;
/// Most of them: what is in flight is held in memory.
const MOST_IN_FLIGHT: usize = 16;
/// Bytes in a second that a worker should be able to get however far away the endpoint is.
const RATE: f64 = 256e6;

/// What a worker takes from the list at a time.
enum Piece {
    /// Blobs that fit into one message together.
    Batch(Vec<Digest>),
    /// A blob too large for a message.
    Large(Digest),
}

/// The work that all workers share.
struct Work<D> {
    pieces: Mutex<VecDeque<Piece>>,
    /// Pieces that a worker has asked for at a time.
    in_flight: usize,
    destination: D,
    lost: Mutex<Vec<Digest>>,
    arrived: mpsc::UnboundedSender<u64>,
}

/// Fetches blobs to where they go. Returns those that the endpoint does not have.
///
/// # Errors
/// The first error of a worker. What had arrived by then is kept.
pub(super) async fn download<D: Destination + 'static>(
    cas: &Reached,
    destination: D,
    events: &dyn Events,
) -> Result<Vec<Digest>, ClientError> {
    let wanted = destination.wanted();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let total = wanted.iter().map(Digest::size).sum();
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let pieces = Mutex::new(cut(wanted));
    let in_flight = in_flight(cas.latency);
    let work = Work { pieces, in_flight, destination, lost: Mutex::default(), arrived };
    let blobs = cas.blobs.clone();
    let workers = blocking(move || run(&blobs, work));
    tokio::pin!(workers);
    let mut done = 0;
    loop {
        tokio::select! {
            biased;
            ended = &mut workers => {
                // What came last is told as well.
                while let Ok(bytes) = arrivals.try_recv() {
                    done += bytes;
                }
                events.event(Event::Download { done, total });
                return ended;
            }
            Some(bytes) = arrivals.recv() => {
                done += bytes;
                events.event(Event::Download { done, total });
            }
        }
    }
}

/// Returns how many batches a worker has to have in flight so that the time of a round trip does not slow it down.
fn in_flight(latency: Duration) -> usize {
    let batch = f64::from(u32::try_from(BATCH_BYTES).unwrap_or(u32::MAX));
    let batches = (FEWEST_IN_FLIGHT..MOST_IN_FLIGHT).find(|batches| {
        let batches = f64::from(u32::try_from(*batches).unwrap_or(u32::MAX));
        batches * batch >= latency.as_secs_f64() * RATE
    });
    batches.unwrap_or(MOST_IN_FLIGHT)
}

/// Cuts the missing blobs into pieces of work, large blobs first, the others in the order given.
fn cut(wanted: Vec<Digest>) -> VecDeque<Piece> {
    let (mut large, small): (Vec<Digest>, Vec<Digest>) =
        wanted.into_iter().partition(|digest| digest.size() > BATCH_BYTES);
    large.sort_by_key(|digest| std::cmp::Reverse(digest.size()));
    let batches = wire::batches(&small, BATCH_BYTES).into_iter().map(|batch| Piece::Batch(batch.to_vec()));
    large.into_iter().map(Piece::Large).chain(batches).collect()
}

fn run<D: Destination>(blobs: &RemoteBlobStore, work: Work<D>) -> Result<Vec<Digest>, ClientError> {
    on_all_cores(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(ClientError::io(
            "start a runtime to download from",
            blobs.link().endpoint().to_string().as_ref(),
        ))?;
        runtime.block_on(async { worker(&blobs.another()?, &work).await })
    })?;
    Ok(work.lost.into_inner().unwrap_or_else(PoisonError::into_inner))
}

async fn worker<D: Destination>(blobs: &RemoteBlobStore, work: &Work<D>) -> Result<(), ClientError> {
    let pieces = futures::stream::iter(std::iter::from_fn(|| work.next()));
    let mut answers = pieces.map(|piece| fetch(blobs, work, piece)).buffer_unordered(work.in_flight);
    while let Some(answer) = answers.next().await {
        let Some(batch) = answer? else { continue };
        work.write(batch)?;
    }
    Ok(())
}

struct Batch {
    asked: Vec<Digest>,
    blobs: Vec<(Digest, Bytes)>,
}

/// Fetches a piece. A batch is returned to be written; a large blob is written as it comes.
async fn fetch<D: Destination>(
    blobs: &RemoteBlobStore,
    work: &Work<D>,
    piece: Piece,
) -> Result<Option<Batch>, ClientError> {
    match piece {
        Piece::Batch(asked) => {
            let blobs = blobs.read_batch(&asked).await?;
            Ok(Some(Batch { asked, blobs }))
        }
        Piece::Large(digest) => {
            work.write_large(blobs, digest).await?;
            Ok(None)
        }
    }
}

impl<D: Destination> Work<D> {
    fn next(&self) -> Option<Piece> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn lose(&self, digest: Digest) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).push(digest);
    }

    fn arrived(&self, bytes: u64) {
        // Nobody listens any more only when the download was given up.
        let _nobody = self.arrived.send(bytes);
    }

    /// Verifies the blobs of a batch and hands them over.
    fn write(&self, batch: Batch) -> Result<(), ClientError> {
        let mut waiting: HashSet<Digest> = batch.asked.into_iter().collect();
        let mut blobs = batch.blobs;
        blobs.retain(|(digest, _)| waiting.remove(digest));
        for (digest, blob) in &blobs {
            let actual = digest.function().digest(blob);
            if actual != *digest {
                return Err(StoreError::Mismatch { expected: *digest, actual }.into());
            }
        }
        self.destination.put(&blobs)?;
        waiting.into_iter().for_each(|digest| self.lose(digest));
        self.arrived(blobs.iter().map(|(digest, _)| digest.size()).sum());
        Ok(())
    }

    /// Writes a large blob as it arrives. It is handed over only when all of it was verified.
    async fn write_large(&self, blobs: &RemoteBlobStore, digest: Digest) -> Result<(), ClientError> {
        let mut sink = FileSink { file: self.destination.file()?, written: 0, told: 0, work: self };
        if !blobs.read_stream(&digest, &mut sink).await? {
            self.lose(digest);
            return Ok(());
        }
        self.destination.put_file(&digest, sink.file)
    }
}

/// Writes a blob to a temporary file and tells how far it has come, each byte once.
struct FileSink<'a, D> {
    file: NamedTempFile,
    written: u64,
    told: u64,
    work: &'a Work<D>,
}

impl<D: Destination> BlobSink for FileSink<'_, D> {
    fn begin(&mut self) -> Result<(), StoreError> {
        self.written = 0;
        let file = self.file.as_file_mut();
        let begun = file.rewind().and_then(|()| file.set_len(0));
        begun.map_err(StoreError::io("write", self.file.path()))
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(piece).map_err(StoreError::io("write", self.file.path()))?;
        self.written += piece.len() as u64;
        if self.written > self.told {
            self.work.arrived(self.written - self.told);
            self.told = self.written;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farther_the_endpoint_the_more_is_in_flight() {
        let batches = [0, 1, 20, 50, 1000].map(|milliseconds| in_flight(Duration::from_millis(milliseconds)));
        assert_eq!(batches, [2, 2, 5, 13, 16]);
    }
}
