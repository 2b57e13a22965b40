//! One large blob each way with zstd: of bytes that cannot be compressed, and of words.
//!
//! The client compresses before the clock starts and decompresses after it has stopped.

use std::io::Read;

use bytes::{Buf, Bytes};

use super::super::client::Unable;
use super::super::data::{Large, PIECE};
use super::super::report::{Clock, Measure};
use super::super::server::Server;
use super::Round;
use super::stream::{PEAK, grown};

/// A blob, and what is sent of it.
pub(crate) struct Compressed {
    blob: Large,
    pieces: Vec<Bytes>,
}

impl Compressed {
    pub(super) fn of(blob: Large) -> Self {
        Self { pieces: blob.compressed(), blob }
    }
}

pub(super) async fn run(server: &Server, round: &Round<'_>, measures: &mut Vec<Measure>) -> Result<(), Unable> {
    if !server.has_zstd() {
        return Err(Unable::NotOffered("zstd"));
    }
    for compressed in round.compressed() {
        let path = format!("compressed-blobs/zstd/{}/{}", compressed.blob.hash, compressed.blob.size);
        let before = server.reset_peak();
        let clock = Clock::start(server);
        server.client.write(&path, &compressed.pieces).await?;
        let up = clock.stop();
        measures.push(up.with(PEAK, grown(server, before)));

        let before = server.reset_peak();
        let mut came = Vec::new();
        let clock = Clock::start(server);
        server
            .client
            .read_stream(&path, |bytes| {
                came.push(bytes);
                true
            })
            .await?;
        let down = clock.stop();
        let grown = grown(server, before);
        let sent = came.iter().map(Bytes::len).sum::<usize>();
        check(&compressed.blob, came)?;
        #[expect(clippy::cast_precision_loss, reason = "a part of a thousand is enough")]
        let part = 100.0 * sent as f64 / compressed.blob.size as f64;
        measures.push(down.with(PEAK, grown).with("% of the size on the wire", part));
    }
    Ok(())
}

fn check(blob: &Large, came: Vec<Bytes>) -> Result<(), Unable> {
    let wrong = |reason: String| Unable::wrong("Read", reason);
    let mut decoder =
        ::zstd::Decoder::new(Joined(came.into_iter(), Bytes::new())).map_err(|error| wrong(error.to_string()))?;
    let mut comparison = blob.comparison();
    let mut buffer = vec![0; PIECE];
    loop {
        let count = decoder.read(&mut buffer).map_err(|error| wrong(error.to_string()))?;
        if count == 0 {
            break;
        }
        if !comparison.next(&buffer[..count]) {
            return Err(wrong("other bytes came than were written".to_owned()));
        }
    }
    if comparison.is_complete() { Ok(()) } else { Err(wrong("fewer bytes came than were written".to_owned())) }
}

/// Pieces read one after the other.
struct Joined(std::vec::IntoIter<Bytes>, Bytes);

impl Read for Joined {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.1.is_empty() {
            match self.0.next() {
                Some(next) => self.1 = next,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.1.len());
        self.1.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
