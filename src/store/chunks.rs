//! Content-defined chunks of a blob: FastCDC 2020, with the parameters that the REAPI recommends.
//!
//! Where a chunk ends depends on the bytes around that place alone, so blobs that are alike have most of their
//! chunks in common, and a changed one costs only its changed chunks. The crate is the one the REAPI refers to.

use std::io::{self, Read};

use fastcdc::v2020::{Normalization, StreamCDC};

/// Size of a chunk on average, in bytes.
pub const AVERAGE_CHUNK: u32 = 512 << 10;

/// The chunks of what a reader gives, in order.
pub struct Chunks<R: Read> {
    chunker: StreamCDC<R>,
}

impl<R: Read> Chunks<R> {
    /// Begins with the first. At most two of the longest chunks are held in memory.
    pub fn of(reader: R) -> Self {
        Self::around(reader, AVERAGE_CHUNK)
    }

    /// Begins with the first, of chunks that are of another size on average.
    pub fn around(reader: R, average: u32) -> Self {
        Self { chunker: StreamCDC::with_level(reader, average / 4, average, average * 4, Normalization::Level2) }
    }
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunker.next().map(|chunk| chunk.map(|chunk| chunk.data).map_err(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, DigestFunction};

    /// Bytes without a pattern, the same in each run.
    fn noise(size: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let step = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        (0..size).map(step).collect()
    }

    fn chunks(bytes: &[u8]) -> Vec<Vec<u8>> {
        Chunks::of(bytes).collect::<Result<_, _>>().unwrap()
    }

    fn digests(bytes: &[u8]) -> Vec<Digest> {
        chunks(bytes).iter().map(|chunk| DigestFunction::Blake3.digest(chunk)).collect()
    }

    #[test]
    fn the_chunks_are_the_blob_and_have_the_announced_sizes() {
        let bytes = noise(20 << 20);
        let chunks = chunks(&bytes);
        assert_eq!(chunks.concat(), bytes);
        let (last, others) = chunks.split_last().unwrap();
        assert!(others.iter().all(|chunk| (128 << 10..=2 << 20).contains(&chunk.len())));
        assert!(last.len() <= 2 << 20);
        assert!((20..=80).contains(&chunks.len()), "{}", chunks.len());
    }

    #[test]
    fn a_change_changes_the_chunks_around_it_alone() {
        let bytes = noise(20 << 20);
        let mut changed = bytes.clone();
        changed.splice(10 << 20..10 << 20, *b"inserted");
        let (before, after) = (digests(&bytes), digests(&changed));
        let new = after.iter().filter(|chunk| !before.contains(chunk)).count();
        assert!((1..=3).contains(&new), "{new} of {}", after.len());
    }

    #[test]
    fn little_and_nothing_are_one_chunk_and_none() {
        assert_eq!(chunks(b"little"), [b"little"]);
        assert!(chunks(b"").is_empty());
    }

    #[test]
    fn bytes_that_never_cut_are_cut_at_the_longest() {
        let lengths: Vec<usize> = chunks(&vec![0; 5 << 20]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2 << 20, 2 << 20, 1 << 20]);
    }
}
