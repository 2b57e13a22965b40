//! The forms in which a layer travels: plain, gzip, zstd; with digests of the archive and of its form.
//!
//! Compressed bytes depend on the libraries that this version is built with: another version may give one archive
//! another form. What names a layer for good is the digest of the archive.

use std::io::{self, BufRead, BufReader, Cursor, Read, Write};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use super::super::media_type::LayerCompression;
use crate::digest::{Digest, DigestFunction, Hasher};

const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// What stands in the header of gzip where no operating system is named.
const UNKNOWN_SYSTEM: u8 = 255;
/// Largest window of zstd, as a power of two: what the program `zstd` accepts unasked.
const MAX_ZSTD_WINDOW: u32 = 27;

/// Hashes what passes on its way to a sink, or from a source.
pub(super) struct Hashed<T> {
    inner: T,
    hasher: Hasher,
}

impl<T> Hashed<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, hasher: DigestFunction::Sha256.hasher() }
    }

    /// Returns how many bytes have passed.
    pub(super) fn size(&self) -> u64 {
        self.hasher.size()
    }

    pub(super) fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns what it wraps, and SHA-256 and size of what has passed.
    pub(super) fn finish(self) -> (T, Digest) {
        (self.inner, self.hasher.finish())
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Compresses an archive on its way to a sink.
pub(super) enum Compressor<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    pub(super) fn new(compression: LayerCompression, sink: W) -> io::Result<Self> {
        Ok(match compression {
            LayerCompression::None => Self::None(sink),
            LayerCompression::Gzip => {
                let header = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM);
                Self::Gzip(header.write(sink, Compression::new(GZIP_LEVEL)))
            }
            LayerCompression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(sink, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Writes what is left and returns the sink.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(sink) => Ok(sink),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(sink) => sink.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(sink) => sink.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// Decompresses a layer, whose first bytes tell its form.
pub(super) enum Decompressor<R: Read> {
    None(BufReader<Whole<R>>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<BufReader<Whole<R>>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Whole<R>>>),
}

/// A layer from its beginning, of which some was looked at.
pub(super) type Whole<R> = io::Chain<Cursor<Vec<u8>>, R>;

impl<R: Read> Decompressor<R> {
    pub(super) fn new(mut source: R) -> io::Result<Self> {
        let mut start = Vec::new();
        source.by_ref().take(super::BLOCK as u64).read_to_end(&mut start)?;
        // The first file of a plain archive may be named like the magic of another format.
        let plain = start.get(257..262) == Some(b"ustar");
        let gzip = !plain && start.starts_with(b"\x1f\x8b");
        let zstd = !plain && start.starts_with(b"\x28\xb5\x2f\xfd");
        let whole = BufReader::with_capacity(128 << 10, Cursor::new(start).chain(source));
        if zstd {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW)?;
            return Ok(Self::Zstd(decoder));
        }
        Ok(if gzip { Self::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(whole))) } else { Self::None(whole) })
    }

    /// Returns what the compressed bytes are read from.
    pub(super) fn source(&self) -> &R {
        match self {
            Self::None(whole) => whole.get_ref().get_ref().1,
            Self::Gzip(decoder) => decoder.get_ref().get_ref().get_ref().1,
            Self::Zstd(decoder) => decoder.get_ref().get_ref().get_ref().1,
        }
    }

    /// Returns what the compressed bytes were read from, and says whether all of it was.
    pub(super) fn finish(self) -> io::Result<(R, bool)> {
        let mut whole = match self {
            Self::None(whole) => whole,
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
        };
        let ended = whole.fill_buf()?.is_empty();
        Ok((whole.into_inner().into_inner().1, ended))
    }
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(whole) => whole.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}
