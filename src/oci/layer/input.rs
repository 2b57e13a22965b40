//! The grammar of tar archives, read strictly from a stream of unknown origin: ustar, GNU's long names, PAX.
//!
//! Every byte is hashed and counted. An archive ends with two blocks of zeros and nothing but zeros after them.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{EntryType, Header};

use super::compress::{Decompressor, Hashed};
use super::read::LayerOptions;
use super::sparse::{self, Sparse};
use super::{BLOCK, LayerError, padding, pax};
use crate::digest::Digest;

/// Most bytes that the headers of one entry may have.
const MAX_HEADER: u64 = 1 << 20;

/// The headers of an entry. Its content comes next.
pub(super) struct Entry {
    pub(super) kind: EntryType,
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    /// Bytes of its content in the archive.
    pub(super) size: u64,
    /// Which parts of the file these are, where they are not all.
    pub(super) sparse: Option<Sparse>,
    pub(super) mode: u64,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) mtime: u64,
    pub(super) device: (u32, u32),
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What extended headers say of the next entry.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: u64,
}

/// A tar archive being read.
pub(super) struct Input<R: Read> {
    archive: Hashed<Decompressor<Hashed<R>>>,
    options: LayerOptions,
    /// Bytes of sparse files that the archive does not have.
    holes: u64,
    /// Whether it has stopped where its last block was to be filled.
    ended: bool,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R, options: LayerOptions) -> Result<Self, LayerError> {
        let decompressor = Decompressor::new(Hashed::new(source)).map_err(LayerError::io("read"))?;
        Ok(Self { archive: Hashed::new(decompressor), options, holes: 0, ended: false })
    }

    /// Fills the buffer, which is small, so that no limit is exceeded by much.
    pub(super) fn bytes(&mut self, buffer: &mut [u8]) -> Result<(), LayerError> {
        self.archive.read_exact(buffer).map_err(|source| self.explain(source))?;
        self.check_limits()
    }

    fn explain(&self, source: io::Error) -> LayerError {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => LayerError::Truncated { offset: self.archive.size() },
            _ => LayerError::Io { action: "read", source },
        }
    }

    fn check_limits(&self) -> Result<(), LayerError> {
        let (unpacked, packed) = (self.archive.size(), self.archive.get_ref().source().size());
        let LayerOptions { max_bytes, max_ratio, ratio_free_bytes, .. } = self.options;
        if unpacked.saturating_add(self.holes) > max_bytes {
            return Err(LayerError::TooLarge { limit: max_bytes, what: "bytes" });
        }
        if unpacked > ratio_free_bytes && unpacked > packed.saturating_mul(max_ratio) {
            return Err(LayerError::TooLarge { limit: max_ratio, what: "bytes for each compressed one" });
        }
        Ok(())
    }

    /// Counts bytes that are not in the archive, but will be in the file.
    pub(super) fn hole(&mut self, bytes: u64) -> Result<(), LayerError> {
        self.holes = self.holes.saturating_add(bytes);
        self.check_limits()
    }

    fn wrong(&self, what: &'static str) -> LayerError {
        LayerError::Syntax { offset: self.archive.size(), what }
    }

    /// Reads the headers of the next entry, or the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, LayerError> {
        let mut extended = Extended::default();
        loop {
            if self.ended && extended.bytes == 0 {
                return Ok(None);
            }
            let mut block = [0; BLOCK];
            match self.bytes(&mut block) {
                Err(LayerError::Truncated { offset }) if self.may_end(offset, &extended) => return Ok(None),
                other => other?,
            }
            if block == [0; BLOCK] {
                self.bytes(&mut block)?;
                return match (block == [0; BLOCK], extended.bytes) {
                    (true, 0) => Ok(None),
                    (false, _) => Err(self.wrong("a block of zeros stands before a header")),
                    (true, _) => Err(self.wrong("an extended header stands before nothing")),
                };
            }
            let header = Header::from_byte_slice(&block);
            if number(&block[148..156]) != Some(checksum(&block)) {
                return Err(self.wrong("the sum of a header is wrong"));
            }
            let size = number(&block[124..136]).ok_or_else(|| self.wrong("a size is no number"))?;
            match header.entry_type() {
                EntryType::XHeader => {
                    let text = self.header_text(size, &mut extended)?;
                    extended.records.extend(pax::parse(&text).map_err(|what| self.wrong(what))?);
                }
                EntryType::XGlobalHeader => {
                    let text = self.header_text(size, &mut Extended::default())?;
                    let records = pax::parse(&text).map_err(|what| self.wrong(what))?;
                    if records.keys().any(|key| key != b"comment") {
                        return Err(self.wrong("a global header changes all entries"));
                    }
                }
                EntryType::GNULongName => extended.path = Some(cut(self.header_text(size, &mut extended)?)),
                EntryType::GNULongLink => extended.link = Some(cut(self.header_text(size, &mut extended)?)),
                EntryType::GNUSparse => {
                    let map = sparse::of_header(&block, self, number)?.map_err(|what| self.wrong(what))?;
                    let entry = entry(&block, size, extended).map_err(|what| self.wrong(what))?;
                    return Ok(Some(Entry { sparse: Some(Sparse::Mapped(map)), ..entry }));
                }
                _ => return entry(&block, size, extended).map(Some).map_err(|what| self.wrong(what)),
            }
        }
    }

    /// Says whether the archive may end where nothing more could be read.
    fn may_end(&self, offset: u64, extended: &Extended) -> bool {
        self.options.open_end && offset.is_multiple_of(BLOCK as u64) && extended.bytes == 0
    }

    /// Reads the content of an extended header.
    fn header_text(&mut self, size: u64, extended: &mut Extended) -> Result<Vec<u8>, LayerError> {
        extended.bytes = extended.bytes.saturating_add(size).saturating_add(BLOCK as u64);
        if extended.bytes > MAX_HEADER {
            return Err(LayerError::TooLarge { limit: MAX_HEADER, what: "bytes in the headers of an entry" });
        }
        let mut text = vec![0; usize::try_from(size).expect("it was compared")];
        self.bytes(&mut text)?;
        self.padding(size)?;
        Ok(text)
    }

    /// Passes what fills the last block of content by. Who writes no end does not fill the last block either.
    pub(super) fn padding(&mut self, size: u64) -> Result<(), LayerError> {
        let content_ends = self.archive.size();
        match self.bytes(&mut [0; BLOCK][..padding(size)]) {
            Err(LayerError::Truncated { offset }) if self.options.open_end && offset == content_ends => {
                self.ended = true;
                Ok(())
            }
            other => other,
        }
    }

    /// Reads what is left, and returns SHA-256 and size of the archive and of its compressed form.
    pub(super) fn end(mut self) -> Result<(Digest, Digest), LayerError> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.archive.read(&mut buffer).map_err(|source| self.explain(source))? {
                0 => break,
                count if buffer[..count].iter().any(|byte| *byte != 0) => {
                    return Err(self.wrong("something comes after the end"));
                }
                _ => self.check_limits()?,
            }
        }
        let offset = self.archive.size();
        let (decompressor, archive) = self.archive.finish();
        let (source, ended) = decompressor.finish().map_err(LayerError::io("read"))?;
        if !ended {
            return Err(LayerError::Syntax { offset, what: "something comes after the compressed bytes" });
        }
        Ok((archive, source.finish().1))
    }
}

/// Joins the header of an entry and what extended headers say of it.
fn entry(block: &[u8; BLOCK], size: u64, extended: Extended) -> Result<Entry, &'static str> {
    const WRONG: &str = "a number in a header is none";
    let header = Header::from_byte_slice(block);
    let Extended { path, link, mut records, .. } = extended;
    let (sparse, name) = sparse::of_records(&mut records)?;
    // An empty value takes a record back.
    let mut record = |key: &[u8]| records.remove(key).filter(|value| !value.is_empty());
    let path = name.or(record(b"path")).or(path).unwrap_or_else(|| header.path_bytes().into_owned());
    let link = record(b"linkpath").or(link).or_else(|| Some(header.link_name_bytes()?.into_owned()));
    let mut numbered = |key: &[u8], otherwise: Option<u64>| match record(key) {
        Some(digits) => pax::number(&digits).ok_or(WRONG),
        None => otherwise.ok_or(WRONG),
    };
    let size = numbered(b"size", Some(size))?;
    let uid = numbered(b"uid", number(&block[108..116]))?;
    let gid = numbered(b"gid", number(&block[116..124]))?;
    let mtime = match record(b"mtime") {
        Some(text) => pax::time(&text),
        None => number(&block[136..148]).or_else(|| (block[136] == 0xff).then_some(0)),
    };
    let kind = header.entry_type();
    let device = match kind {
        EntryType::Char | EntryType::Block => (device(&block[329..337])?, device(&block[337..345])?),
        _ => (0, 0),
    };
    let xattrs = records.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(pax::XATTR)?.to_vec(), value)));
    Ok(Entry {
        kind,
        path,
        link: link.unwrap_or_default(),
        size,
        sparse,
        mode: number(&block[100..108]).ok_or(WRONG)?,
        uid,
        gid,
        mtime: mtime.ok_or(WRONG)?,
        device,
        xattrs: xattrs.collect(),
    })
}

fn device(field: &[u8]) -> Result<u32, &'static str> {
    number(field).and_then(|number| u32::try_from(number).ok()).ok_or("the number of a device is none")
}

/// Returns the sum of a header's bytes, its own field counted as spaces.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    sum(&block[..148]) + sum(&block[156..]) + 8 * u64::from(b' ')
}

/// Reads a number of a header: octal digits, or binary with the highest bit set. An empty field is zero.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] == 0x80 {
        let significant = field[1..].iter().skip_while(|byte| **byte == 0);
        let value = || significant.clone().fold(0, |number: u64, byte| (number << 8) | u64::from(*byte));
        return (significant.clone().count() <= 8).then(value);
    }
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let text = std::str::from_utf8(&field[..end]).ok()?.trim_matches(' ');
    if text.is_empty() {
        return Some(0);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) { u64::from_str_radix(text, 8).ok() } else { None }
}

/// Cuts a name of GNU's at the NUL that ends it.
fn cut(mut text: Vec<u8>) -> Vec<u8> {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text.truncate(end);
    text
}
