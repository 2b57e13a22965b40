//! zstd on the wire: blobs are compressed and decompressed on their way; the store holds what they are.
//!
//! Nothing here gives out more bytes than a digest allows, so a few bytes that stand for very many cost nothing.

use std::io::{self, Read};

use bytes::Bytes;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use crate::proto::reapi::compressor::Value;

/// Level at which blobs are compressed: about as fast as a disk gives them.
const LEVEL: i32 = 1;
/// Largest window a client may have used, as a power of two: 8 MiB, which the format recommends as the most.
const WINDOW_LOG: u32 = 23;
/// Bytes decompressed at a time.
const PIECE: usize = 128 << 10;
/// Blobs below this size are not worth it in a batch.
const WORTH: usize = 512;

/// How the bytes of a blob travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compressor {
    /// As they are.
    Identity,
    /// Compressed.
    Zstd,
}

impl Compressor {
    /// Returns the compressor of a number in a message, if it is offered.
    pub(super) fn of_number(number: i32) -> Option<Self> {
        match Value::try_from(number) {
            Ok(Value::Identity) => Some(Self::Identity),
            Ok(Value::Zstd) => Some(Self::Zstd),
            Ok(Value::Deflate | Value::Brotli) | Err(_) => None,
        }
    }

    /// Returns how it begins the part of a resource name that names the blob.
    pub(super) fn segments(self) -> &'static str {
        match self {
            Self::Identity => "blobs",
            Self::Zstd => "compressed-blobs/zstd",
        }
    }

    /// Returns its number in messages.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Identity => Value::Identity as i32,
            Self::Zstd => Value::Zstd as i32,
        }
    }
}

/// Returns a reader of the compressed form of what another gives, whose length is known.
///
/// # Errors
/// When there is no memory for it.
pub(super) fn compressed(reader: impl Read + Send + 'static, size: u64) -> io::Result<Box<dyn Read + Send>> {
    let mut encoder = zstd::stream::read::Encoder::new(reader, LEVEL)?;
    encoder.set_pledged_src_size(Some(size))?;
    Ok(Box::new(encoder))
}

/// Compresses blobs that lie in memory.
pub(super) struct BatchCompressor(Option<zstd::bulk::Compressor<'static>>);

impl BatchCompressor {
    /// Returns one that leaves blobs as they are unless it is `wanted`.
    pub(super) fn new(wanted: bool) -> Self {
        Self(wanted.then(|| zstd::bulk::Compressor::new(LEVEL).ok()).flatten())
    }

    /// Returns the blob as it goes into a batch: compressed where that makes it smaller.
    pub(super) fn compress(&mut self, blob: Bytes) -> (Bytes, Compressor) {
        if let Some(compressor) = &mut self.0
            && blob.len() >= WORTH
            && let Ok(small) = compressor.compress(&blob)
            && small.len() < blob.len()
        {
            return (small.into(), Compressor::Zstd);
        }
        (blob, Compressor::Identity)
    }
}

/// Why compressed bytes were not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecompressError<E> {
    /// They are not zstd, or need a larger window than is allowed.
    #[error("the compressed bytes cannot be read as zstd")]
    Malformed(#[source] io::Error),
    /// They stand for more bytes than the blob has.
    #[error("more bytes came than the {size} that the blob has")]
    TooMany {
        /// The size of the blob.
        size: u64,
    },
    /// They end within a frame.
    #[error("the compressed bytes end too early")]
    Truncated,
    /// Whoever takes what they stand for refused.
    #[error(transparent)]
    Taken(E),
}

/// Decompresses a blob piece by piece.
pub(super) struct Decompressor {
    decoder: Decoder<'static>,
    buffer: Vec<u8>,
    size: u64,
    left: u64,
    within_frame: bool,
}

impl Decompressor {
    /// Begins a blob of this size.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn new(size: u64) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
        // One byte more than is left shows that there is too much.
        let room = usize::try_from(size.saturating_add(1)).unwrap_or(PIECE).min(PIECE);
        Ok(Self { decoder, buffer: vec![0; room], size, left: size, within_frame: true })
    }

    /// Hands what the next compressed bytes stand for to `take`.
    ///
    /// # Errors
    /// When they are malformed, stand for more bytes than the blob has, or `take` refuses.
    pub(super) fn feed<E>(
        &mut self,
        compressed: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), DecompressError<E>> {
        if compressed.is_empty() {
            return Ok(());
        }
        let mut input = InBuffer::around(compressed);
        loop {
            let mut output = OutBuffer::around(&mut self.buffer[..]);
            let hint = self.decoder.run(&mut input, &mut output).map_err(DecompressError::Malformed)?;
            let (bytes, full) = (output.as_slice(), output.pos() == output.capacity());
            let count = bytes.len() as u64;
            self.left = self.left.checked_sub(count).ok_or(DecompressError::TooMany { size: self.size })?;
            if !bytes.is_empty() {
                take(bytes).map_err(DecompressError::Taken)?;
            }
            self.within_frame = hint != 0;
            // A full buffer may leave more inside the decoder, even when all input is taken.
            if input.pos() == compressed.len() && (!full || hint == 0) {
                return Ok(());
            }
        }
    }

    /// Checks that nothing is missing at the end.
    ///
    /// # Errors
    /// `Truncated` when it is.
    pub(super) fn finish<E>(self) -> Result<(), DecompressError<E>> {
        if self.within_frame { Err(DecompressError::Truncated) } else { Ok(()) }
    }
}

/// Decompresses a blob of this size in memory.
///
/// # Errors
/// As the decompressor.
pub(super) fn decompress(compressed: &[u8], size: u64) -> Result<Bytes, DecompressError<std::convert::Infallible>> {
    let mut decompressor = Decompressor::new(size).map_err(DecompressError::Malformed)?;
    let mut blob = Vec::new();
    decompressor.feed(compressed, |bytes| {
        blob.extend_from_slice(bytes);
        Ok(())
    })?;
    decompressor.finish()?;
    Ok(blob.into())
}
