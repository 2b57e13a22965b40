//! The grammar of archives, read strictly from a stream of unknown origin.

use std::io::{self, Read};

use super::{MAGIC, MAX_STRING, NarError, padding};
use crate::digest::{Digest, DigestFunction, Hasher};

/// Reads the strings of an archive, hashes it, and knows where it is.
pub(super) struct NarReader<R> {
    source: R,
    hasher: Hasher,
}

impl<R: Read> NarReader<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, hasher: DigestFunction::Sha256.hasher() }
    }

    /// Returns how many bytes have been read.
    pub(super) fn offset(&self) -> u64 {
        self.hasher.size()
    }

    /// Fills the buffer.
    pub(super) fn bytes(&mut self, buffer: &mut [u8]) -> Result<(), NarError> {
        let offset = self.offset();
        self.source.read_exact(buffer).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => NarError::Truncated { offset },
            _ => NarError::Io { action: "read", source },
        })?;
        self.hasher.update(buffer);
        Ok(())
    }

    /// Reads a length.
    pub(super) fn length(&mut self) -> Result<u64, NarError> {
        let mut bytes = [0; 8];
        self.bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Passes the zeros behind a string by.
    pub(super) fn padding(&mut self, length: u64) -> Result<(), NarError> {
        let offset = self.offset();
        let mut zeros = [0; 8];
        self.bytes(&mut zeros[..padding(length)])?;
        if zeros == [0; 8] { Ok(()) } else { Err(NarError::Syntax { offset, expected: "padding of zeros" }) }
    }

    /// Reads a short string.
    pub(super) fn string(&mut self, expected: &'static str) -> Result<String, NarError> {
        let offset = self.offset();
        let length = self.length()?;
        if length > MAX_STRING {
            return Err(NarError::Syntax { offset, expected });
        }
        let mut bytes = vec![0; usize::try_from(length).expect("it was compared")];
        self.bytes(&mut bytes)?;
        self.padding(length)?;
        String::from_utf8(bytes).map_err(|_| NarError::Utf8 { offset: self.offset() })
    }

    /// Reads one of some strings, and returns which.
    pub(super) fn one_of<const COUNT: usize>(
        &mut self,
        words: [&'static str; COUNT],
        expected: &'static str,
    ) -> Result<&'static str, NarError> {
        let offset = self.offset();
        let wrong = |_| NarError::Syntax { offset, expected };
        let found = match self.string(expected) {
            Err(NarError::Utf8 { .. }) => return Err(NarError::Syntax { offset, expected }),
            other => other?,
        };
        words.into_iter().find(|word| *word == found).ok_or(()).map_err(wrong)
    }

    /// Passes a string by that must come next.
    pub(super) fn expect(&mut self, word: &'static str) -> Result<(), NarError> {
        self.one_of([word], word).map(drop)
    }

    /// Passes the first string by.
    pub(super) fn magic(&mut self) -> Result<(), NarError> {
        self.expect(MAGIC)
    }

    /// Checks that nothing comes any more, and returns SHA-256 and size of the whole.
    pub(super) fn end(mut self) -> Result<Digest, NarError> {
        let offset = self.offset();
        match self.source.read(&mut [0]).map_err(NarError::io("read"))? {
            0 => Ok(self.hasher.finish()),
            _ => Err(NarError::Trailing { offset }),
        }
    }
}
