//! Downloading blobs: as many workers as cores, each with a connection and a runtime of its own.
//!
//! The thread that receives a blob hashes and writes it while it is in the
//! cache; nothing is handed between threads. Large blobs go first, so that none
//! is left over at the end.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::ClientError;
use super::connect::Reached;
use super::cores::on_all_cores;
use super::events::{Event, Events};
use super::missing::{Missing, Place};
use crate::digest::Digest;
use crate::store::{BATCH_BYTES, BlobSink, FileBlobStore, Linker, RemoteBlobStore, StoreError, blocking, wire};

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
struct Work {
    pieces: Mutex<VecDeque<Piece>>,
    /// Pieces that a worker has asked for at a time.
    in_flight: usize,
    missing: Missing,
    store: FileBlobStore,
    linker: Linker,
    lost: Mutex<Vec<Digest>>,
    arrived: mpsc::UnboundedSender<u64>,
}

/// Fetches blobs to their places. Returns those that the endpoint does not have.
///
/// # Errors
/// The first error of a worker. What had arrived by then is kept.
pub(super) async fn download(
    cas: &Reached,
    store: &FileBlobStore,
    linker: Linker,
    missing: Missing,
    events: &dyn Events,
) -> Result<Vec<Digest>, ClientError> {
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let total = missing.keys().map(Digest::size).sum();
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let pieces = Mutex::new(cut(&missing));
    let in_flight = in_flight(cas.latency);
    let work = Work { pieces, in_flight, missing, store: store.clone(), linker, lost: Mutex::default(), arrived };
    let blobs = cas.blobs.clone();
    let workers = blocking(move || run(&blobs, work));
    tokio::pin!(workers);
    let mut done = 0;
    loop {
        tokio::select! {
            biased;
            ended = &mut workers => return ended,
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

/// Cuts the missing blobs into pieces of work, large blobs first, the others in the order of their paths.
fn cut(missing: &Missing) -> VecDeque<Piece> {
    let (mut large, mut small): (Vec<Digest>, Vec<Digest>) =
        missing.keys().partition(|digest| digest.size() > BATCH_BYTES);
    large.sort_by_key(|digest| std::cmp::Reverse(digest.size()));
    small.sort_by_cached_key(|digest| missing[digest][0].path.as_os_str());
    let batches = wire::batches(&small, BATCH_BYTES).into_iter().map(|batch| Piece::Batch(batch.to_vec()));
    large.into_iter().map(Piece::Large).chain(batches).collect()
}

fn run(blobs: &RemoteBlobStore, work: Work) -> Result<Vec<Digest>, ClientError> {
    on_all_cores(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(ClientError::io("start a download worker for", work.store.root()))?;
        runtime.block_on(async { worker(&blobs.another()?, &work).await })
    })?;
    Ok(work.lost.into_inner().unwrap_or_else(PoisonError::into_inner))
}

async fn worker(blobs: &RemoteBlobStore, work: &Work) -> Result<(), ClientError> {
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
async fn fetch(blobs: &RemoteBlobStore, work: &Work, piece: Piece) -> Result<Option<Batch>, ClientError> {
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

/// Returns the directory of a file, and its name there.
fn split(path: &Path) -> (&Path, &str) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    (path.parent().unwrap_or(path), name)
}

impl Work {
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

    /// Verifies the blobs of a batch and writes them to their places.
    fn write(&self, batch: Batch) -> Result<(), ClientError> {
        let mut bytes = 0;
        let mut at: Option<(&Path, File)> = None;
        let mut waiting: std::collections::HashSet<Digest> = batch.asked.into_iter().collect();
        for (digest, blob) in batch.blobs {
            if !waiting.remove(&digest) {
                continue;
            }
            let actual = digest.function().digest(&blob);
            if actual != digest {
                return Err(StoreError::Mismatch { expected: digest, actual }.into());
            }
            bytes += digest.size();
            let places = &self.missing[&digest];
            let (first, others) = (&places[0], &places[1..]);
            let (path, name) = split(&first.path);
            if at.as_ref().is_none_or(|(open, _)| *open != path) {
                at = Some((path, File::open(path).map_err(StoreError::io("open the directory", path))?));
            }
            let Some((_, directory)) = &at else { continue };
            self.linker.write(&digest, &blob, first.executable, directory, path, name)?;
            self.link(&digest, others)?;
        }
        waiting.into_iter().for_each(|digest| self.lose(digest));
        self.arrived(bytes);
        Ok(())
    }

    fn link(&self, digest: &Digest, places: &[Place]) -> Result<(), StoreError> {
        for place in places {
            if !self.store.link_to(digest, place.executable, &place.path)? {
                return Err(StoreError::Missing { digest: *digest, role: "just written" });
            }
        }
        Ok(())
    }

    /// Writes a large blob as it arrives. Its place is taken only when all of it was verified.
    async fn write_large(&self, blobs: &RemoteBlobStore, digest: Digest) -> Result<(), ClientError> {
        let places = &self.missing[&digest];
        let (first, others) = (&places[0], &places[1..]);
        let mut sink = FileSink { file: self.store.temporary_file()?, written: 0, told: 0, work: self };
        if !blobs.read_stream(&digest, &mut sink).await? {
            self.lose(digest);
            return Ok(());
        }
        self.store.install_at(sink.file, first.executable, &first.path)?;
        self.store.share(&digest, first.executable, &first.path)?;
        self.link(&digest, others)?;
        Ok(())
    }
}

/// Writes a blob to a temporary file and tells how far it has come, each byte once.
struct FileSink<'a> {
    file: NamedTempFile,
    written: u64,
    told: u64,
    work: &'a Work,
}

impl BlobSink for FileSink<'_> {
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
