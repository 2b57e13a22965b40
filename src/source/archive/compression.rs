//! Recognises how a tar archive is compressed, by its first bytes, and decompresses it.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use lz4_flex::frame::FrameDecoder;

/// Most memory that the decoder of xz may take. `xz -9` needs 65 MiB.
const MAX_XZ_KIB: u32 = 256 << 10;
/// Largest window of zstd, as a power of two: what the program `zstd` accepts unasked.
const MAX_ZSTD_WINDOW: u32 = 27;
/// Bytes that are looked at: where the magic of tar lies ends here.
const LOOKED_AT: u64 = 262;
const BUFFER: usize = 128 << 10;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// gzip, any number of members.
    Gzip,
    /// bzip2, any number of streams.
    Bzip2,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
    /// LZ4 frames.
    Lz4,
}

fn recognise(start: &[u8]) -> Compression {
    const MAGIC: [(&[u8], Compression); 5] = [
        (b"\x1f\x8b", Compression::Gzip),
        (b"BZh", Compression::Bzip2),
        (b"\xfd7zXZ\0", Compression::Xz),
        (b"\x28\xb5\x2f\xfd", Compression::Zstd),
        (b"\x04\x22\x4d\x18", Compression::Lz4),
    ];
    // The first file of a plain archive may be named like the magic of another format.
    if start.get(257..262) == Some(b"ustar") {
        return Compression::None;
    }
    let found = MAGIC.into_iter().find(|(magic, _)| start.starts_with(magic));
    found.map_or(Compression::None, |(_, compression)| compression)
}

/// Returns a reader of the archive as it was before it was compressed.
///
/// # Errors
/// When its beginning cannot be read.
pub(super) fn decompress<R: Read>(mut archive: R) -> io::Result<Decoder<impl BufRead>> {
    let mut start = Vec::new();
    archive.by_ref().take(LOOKED_AT).read_to_end(&mut start)?;
    let compression = recognise(&start);
    Decoder::new(compression, BufReader::with_capacity(BUFFER, Cursor::new(start).chain(archive)))
}

/// Reads what is compressed. Its memory is bounded; the length of what it gives is not.
pub(crate) struct Decoder<R: BufRead>(Format<R>);

enum Format<R: BufRead> {
    None(R),
    Gzip(Box<flate2::bufread::MultiGzDecoder<R>>),
    Bzip2(bzip2::bufread::MultiBzDecoder<R>),
    Xz(Box<lzma_rust2::XzReader<R>>),
    Zstd(zstd::stream::read::Decoder<'static, R>),
    Lz4(Box<Frames<R>>),
}

impl<R: BufRead> Decoder<R> {
    /// Returns a reader of what is compressed so.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn new(compression: Compression, whole: R) -> io::Result<Self> {
        Ok(Self(match compression {
            Compression::None => Format::None(whole),
            Compression::Gzip => Format::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(whole))),
            Compression::Bzip2 => Format::Bzip2(bzip2::bufread::MultiBzDecoder::new(whole)),
            Compression::Xz => Format::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(whole, true, MAX_XZ_KIB))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW)?;
                Format::Zstd(decoder)
            }
            Compression::Lz4 => Format::Lz4(Box::new(Frames::new(whole))),
        }))
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Format::None(reader) => reader.read(buffer),
            Format::Gzip(reader) => reader.read(buffer),
            Format::Bzip2(reader) => reader.read(buffer),
            Format::Xz(reader) => reader.read(buffer),
            Format::Zstd(reader) => reader.read(buffer),
            Format::Lz4(reader) => reader.read(buffer),
        }
    }
}

/// The frames of an LZ4 file, one after the other.
///
/// Their decoder ends in silence where the file ends, also in the middle of a
/// frame, so it is watched whether it came to the end of the file by itself.
struct Frames<R: Read> {
    decoder: FrameDecoder<Watched<R>>,
    between: bool,
}

impl<R: BufRead> Frames<R> {
    fn new(inner: R) -> Self {
        Self { decoder: FrameDecoder::new(Watched { inner, ended: false }), between: true }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            if self.between && self.decoder.get_mut().inner.fill_buf()?.is_empty() {
                break;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                self.between = false;
                return Ok(count);
            }
            if self.decoder.get_ref().ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.between = true;
        }
        Ok(0)
    }
}

/// A reader that remembers that more was asked of it than it has.
struct Watched<R> {
    inner: R,
    ended: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.ended |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}
