//! The headers of a layer's entries, written in one way only: ustar, and PAX for what ustar cannot hold.

use tar::{EntryType, Header};

use super::super::attributes::{Metadata, Special};
use super::{padding, pax};

/// Longest name and target in a ustar header.
const MAX_NAME: usize = 100;
/// Largest number in a field of eight bytes, and in one of twelve.
const MAX_SHORT: u64 = 0o777_7777;
const MAX_LONG: u64 = 0o777_7777_7777;
/// The mode of what has no metadata of its own.
const MODE: u16 = 0o644;

/// What an entry is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    File { size: u64 },
    Directory,
    Symlink { target: &'a str },
    HardLink { target: &'a str },
    Special(Special),
}

/// Returns the bytes that stand before the content of an entry. The mode is the one stated, or the default one.
pub(super) fn encode(path: &str, kind: Kind, metadata: &Metadata, default_mode: u16) -> Vec<u8> {
    let mut records = Vec::new();
    let mut header = Header::new_ustar();
    let (entry_type, target, size) = match kind {
        Kind::File { size } => (EntryType::Regular, "", size),
        Kind::Directory => (EntryType::Directory, "", 0),
        Kind::Symlink { target } => (EntryType::Symlink, target, 0),
        Kind::HardLink { target } => (EntryType::Link, target, 0),
        Kind::Special(Special::Char { .. }) => (EntryType::Char, "", 0),
        Kind::Special(Special::Block { .. }) => (EntryType::Block, "", 0),
        Kind::Special(Special::Fifo) => (EntryType::Fifo, "", 0),
    };
    let ustar = header.as_ustar_mut().expect("it was made one");
    ustar.typeflag = [entry_type.as_byte()];
    text(&mut ustar.name, path, b"path", &mut records);
    text(&mut ustar.linkname, target, b"linkpath", &mut records);
    header.set_mode(u32::from(metadata.mode.unwrap_or(default_mode)));
    header.set_uid(number(metadata.uid.into(), MAX_SHORT, b"uid", &mut records));
    header.set_gid(number(metadata.gid.into(), MAX_SHORT, b"gid", &mut records));
    header.set_size(number(size, MAX_LONG, b"size", &mut records));
    header.set_mtime(number(metadata.mtime, MAX_LONG, b"mtime", &mut records));
    if let Kind::Special(Special::Char { major, minor } | Special::Block { major, minor }) = kind {
        let ustar = header.as_ustar_mut().expect("it was made one");
        ustar.set_device_major(major);
        ustar.set_device_minor(minor);
    }
    for (name, value) in &metadata.xattrs {
        pax::append(&mut records, &[pax::XATTR, name.as_bytes()].concat(), value);
    }
    header.set_cksum();
    let mut bytes = if records.is_empty() { Vec::new() } else { extended(&records) };
    bytes.extend_from_slice(header.as_bytes());
    bytes
}

/// Returns the header of an empty file that says what is gone.
pub(super) fn encode_whiteout(path: &str) -> Vec<u8> {
    encode(path, Kind::File { size: 0 }, &Metadata::default(), MODE)
}

/// Returns an extended header: an entry of its own, before the one that it is for.
fn extended(records: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(u32::from(MODE));
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(records.len() as u64);
    let ustar = header.as_ustar_mut().expect("it was made one");
    let name = b"././@PaxHeader";
    ustar.name[..name.len()].copy_from_slice(name);
    header.set_cksum();
    let padding = &[0; super::BLOCK][..padding(records.len() as u64)];
    [header.as_bytes(), records, padding].concat()
}

/// Writes a text into its field, and into a record when it is too long or not ASCII.
fn text(field: &mut [u8; MAX_NAME], value: &str, key: &[u8], records: &mut Vec<u8>) {
    if value.len() > MAX_NAME || !value.is_ascii() {
        pax::append(records, key, value.as_bytes());
    }
    for (byte, c) in field.iter_mut().zip(value.chars()) {
        *byte = u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?');
    }
}

/// Returns the number for its field, and writes it into a record when it is too large.
fn number(value: u64, max: u64, key: &[u8], records: &mut Vec<u8>) -> u64 {
    if value <= max {
        return value;
    }
    pax::append(records, key, value.to_string().as_bytes());
    0
}
