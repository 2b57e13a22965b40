//! Counts what goes into a decoder and what comes out of it, and stops it when that is too much.
//!
//! The readers of archives hide the errors of what they read from, so the
//! meter remembers which limit was reached.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};

use super::{ArchiveError, Limits, error::Place};

/// Bytes that the headers of one entry may have: names, extended attributes.
const MAX_HEADER: u64 = 1 << 20;

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Bytes,
    Ratio,
    Header,
}

/// What was read so far.
pub(super) struct Meter<'a> {
    limits: &'a Limits,
    packed: Cell<u64>,
    unpacked: Cell<u64>,
    /// Bytes that the headers may still have; none while content is read.
    header: Cell<Option<u64>>,
    /// Whether the end was met.
    ended: Cell<bool>,
    reached: Cell<Option<Limit>>,
    entry: RefCell<Option<String>>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            packed: Cell::new(0),
            unpacked: Cell::new(0),
            header: Cell::new(None),
            ended: Cell::new(false),
            reached: Cell::new(None),
            entry: RefCell::new(None),
        }
    }

    /// Says whether a reader met the end of what it read from.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Begins or ends the reading of an entry's headers.
    pub(super) fn in_header(&self, begins: bool) {
        self.header.set(begins.then_some(MAX_HEADER));
    }

    /// Says which entry is read.
    pub(super) fn at(&self, entry: String) {
        self.entry.replace(Some(entry));
    }

    /// Returns how far the archive was read.
    pub(super) fn place(&self) -> Place {
        Place(self.entry.borrow().clone())
    }

    /// Counts bytes that went into the decoder.
    pub(super) fn packed(&self, bytes: u64) {
        self.packed.set(self.packed.get().saturating_add(bytes));
    }

    /// Counts bytes that came out of it, or will.
    ///
    /// # Errors
    /// When they are too many.
    pub(super) fn unpacked(&self, bytes: u64) -> Result<(), ArchiveError> {
        let unpacked = self.unpacked.get().saturating_add(bytes);
        self.unpacked.set(unpacked);
        if let Some(rest) = self.header.get() {
            self.header.set(Some(rest.saturating_sub(bytes)));
        }
        let ratio = self.packed.get().saturating_mul(self.limits.max_ratio);
        if unpacked > self.limits.max_bytes {
            self.reached.set(Some(Limit::Bytes));
        } else if unpacked > self.limits.ratio_free_bytes && unpacked > ratio {
            self.reached.set(Some(Limit::Ratio));
        } else if self.header.get() == Some(0) {
            self.reached.set(Some(Limit::Header));
        }
        self.limit().map_or(Ok(()), Err)
    }

    /// Returns the error of the limit that was reached.
    pub(super) fn limit(&self) -> Option<ArchiveError> {
        let place = self.place();
        Some(match self.reached.get()? {
            Limit::Bytes => ArchiveError::Bytes { place, limit: self.limits.max_bytes },
            Limit::Ratio => ArchiveError::Ratio { place, limit: self.limits.max_ratio },
            Limit::Header => ArchiveError::Header { place, limit: MAX_HEADER },
        })
    }

    /// Returns what an error of a reader means: a limit, the end, or what it says.
    pub(super) fn explain(&self, source: io::Error) -> ArchiveError {
        let place = self.place();
        match self.limit() {
            Some(limit) => limit,
            None if source.kind() == io::ErrorKind::UnexpectedEof || self.has_ended() => {
                ArchiveError::Truncated { place }
            }
            None => ArchiveError::Read { place, source },
        }
    }
}

/// What goes into a decoder.
pub(super) struct Packed<'a, R> {
    pub(super) inner: R,
    pub(super) meter: &'a Meter<'a>,
}

impl<R: Read> Read for Packed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.meter.packed(count as u64);
        Ok(count)
    }
}

/// What comes out of a decoder.
pub(super) struct Unpacked<'a, R> {
    pub(super) inner: R,
    pub(super) meter: &'a Meter<'a>,
}

impl<R: Read> Read for Unpacked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.meter.ended.set(true);
        }
        self.meter.unpacked(count as u64).map_err(io::Error::other)?;
        Ok(count)
    }
}
