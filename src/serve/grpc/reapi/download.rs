//! One blob on its way out: read ahead of what the client has taken, plain or compressed.

use std::collections::VecDeque;
use std::io::{self, Read};

use bytes::Bytes;
use futures::stream;
use tonic::Status;

use super::Answers;
use super::compression::{Compressor, compressed};
use super::messages::ReadResponse;
use crate::digest::Digest;
use crate::serve::status::store_status;
use crate::store::{LocalBlobStore, StoreError, blocking};

/// Payload of one message.
const PIECE: usize = 256 << 10;
/// Bytes read at a time. As many lie ready, and as many are being read, while a client takes its time.
const FILL: usize = 1 << 20;
/// Most reads for one filling. Bounds the work when very many bytes compress to few.
const READS: usize = 64;

/// What a client asked for.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// Of which blob.
    pub(super) digest: Digest,
    /// First byte.
    pub(super) offset: u64,
    /// Number of bytes.
    pub(super) count: u64,
    /// How they travel.
    pub(super) compressor: Compressor,
}

/// Streams a part of a blob, or `None` when the blob is not there.
///
/// # Errors
/// When the store cannot read it, or finds a small blob corrupt.
pub(super) async fn download(store: &LocalBlobStore, part: Part) -> Result<Option<Answers<ReadResponse>>, Status> {
    let store = store.clone();
    let opened = blocking(move || {
        let Some(mut source) = Source::open(&store, part)? else { return Ok(None) };
        let first = source.fill()?;
        Ok::<_, Status>(Some((first, source)))
    });
    Ok(opened.await?.map(|(first, source)| -> Answers<ReadResponse> { Box::pin(answers(first, source)) }))
}

/// Hands out what was read while the next is being read.
fn answers(first: VecDeque<Bytes>, source: Source) -> impl stream::Stream<Item = Result<ReadResponse, Status>> + Send {
    stream::try_unfold((first, Ahead::begin(source)), |(mut ready, mut ahead)| async move {
        loop {
            if let Some(data) = ready.pop_front() {
                return Ok(Some((ReadResponse { data }, (ready, ahead))));
            }
            let Ahead::Reading(task) = ahead else { return Ok(None) };
            let (filled, source) = task.await.map_err(|_| Status::internal("reading the blob was broken off"))?;
            ready = filled?;
            ahead = Ahead::begin(source);
        }
    })
}

/// What comes after the bytes that are ready.
enum Ahead {
    /// They are being read.
    Reading(tokio::task::JoinHandle<(Result<VecDeque<Bytes>, Status>, Source)>),
    /// Nothing.
    End,
}

impl Ahead {
    fn begin(mut source: Source) -> Self {
        if source.ended {
            return Self::End;
        }
        Self::Reading(tokio::spawn(blocking(move || (source.fill(), source))))
    }
}

/// The bytes to be sent.
struct Source {
    digest: Digest,
    reader: Box<dyn Read + Send>,
    /// Bytes for which room is made at a time.
    room: usize,
    ended: bool,
}

impl Source {
    fn open(store: &LocalBlobStore, part: Part) -> Result<Option<Self>, Status> {
        let Part { digest, offset, count, compressor } = part;
        // Read whole, a blob is verified on the way; a part of it is given only when all of it is right.
        let whole = count == digest.size();
        let opened = if whole { store.open_read(&digest) } else { store.open_at(&digest, offset) };
        let Some(reader) = opened.map_err(|error| store_status(&error))? else { return Ok(None) };
        let plain = Exactly { reader, left: count };
        // Incompressible bytes grow a little.
        let room = usize::try_from(count).unwrap_or(FILL).saturating_add(1 << 10).min(FILL);
        let reader: Box<dyn Read + Send> = match compressor {
            Compressor::Identity => Box::new(plain),
            Compressor::Zstd => compressed(plain, count).map_err(|source| read_status(&digest, source))?,
        };
        Ok(Some(Self { digest, reader, room, ended: false }))
    }

    /// Reads the next messages.
    fn fill(&mut self) -> Result<VecDeque<Bytes>, Status> {
        let mut buffer = vec![0; self.room];
        let mut filled = 0;
        for _ in 0..READS {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_status(&self.digest, error)),
            }
            if filled == buffer.len() {
                break;
            }
        }
        buffer.truncate(filled);
        let mut rest = Bytes::from(buffer);
        let mut pieces = VecDeque::with_capacity(filled.div_ceil(PIECE));
        while !rest.is_empty() {
            pieces.push_back(rest.split_to(rest.len().min(PIECE)));
        }
        Ok(pieces)
    }
}

/// The next `left` bytes of a reader, which must have as many.
struct Exactly<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn read_status(digest: &Digest, source: io::Error) -> Status {
    match source.kind() {
        io::ErrorKind::InvalidData => Status::data_loss(format!("blob `{digest}` is corrupt and has been removed")),
        io::ErrorKind::UnexpectedEof => Status::data_loss(format!("blob `{digest}` became shorter while it was read")),
        _ => store_status(&StoreError::Io { action: "read the blob", path: digest.to_string().into(), source }),
    }
}
