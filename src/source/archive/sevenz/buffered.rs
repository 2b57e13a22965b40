//! A buffer over an archive that survives a seek to where it stands, which some decoders do before each byte.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

const BUFFER: usize = 64 << 10;

pub(super) struct Buffered<R> {
    inner: BufReader<R>,
    at: u64,
}

impl<R: Read + Seek> Buffered<R> {
    /// Takes an archive that stands at its beginning.
    pub(super) fn new(archive: R) -> Self {
        Self { inner: BufReader::with_capacity(BUFFER, archive), at: 0 }
    }
}

impl<R: Read> Read for Buffered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl<R: Seek> Seek for Buffered<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let near = match position {
            SeekFrom::Start(to) => to.checked_signed_diff(self.at),
            SeekFrom::Current(_) | SeekFrom::End(_) => None,
        };
        self.at = match near {
            Some(away) => {
                self.inner.seek_relative(away)?;
                self.at.wrapping_add_signed(away)
            }
            None => self.inner.seek(position)?,
        };
        Ok(self.at)
    }
}
