//! Sparse files: archives carry only the parts that are no holes. Three forms are known: the header type `S` of GNU
//! tar, and the versions 0.1 and 1.0 of its PAX records. What is stored has zeros where the holes were.

use std::collections::BTreeMap;
use std::io::Read;

use super::input::Input;
use super::{BLOCK, LayerError, pax};

/// Most parts of a file.
const MAX_PARTS: usize = 1 << 20;
/// Parts in a header of type `S`, and in each block that continues it.
const PARTS_IN_HEADER: usize = 4;
const PARTS_IN_BLOCK: usize = 21;

/// Which parts of a file are in the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Map {
    /// Bytes of the file.
    pub(super) size: u64,
    /// Offset and length of each part, in order.
    pub(super) parts: Vec<(u64, u64)>,
}

/// Where the map of a sparse file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sparse {
    /// It stood in the headers.
    Mapped(Map),
    /// It stands before the content of a file of so many bytes.
    Before { size: u64 },
}

impl Map {
    /// Checks that the parts are in order, lie in the file, and are as long together as what the archive has of it.
    pub(super) fn check(&self, stored: u64) -> Result<(), &'static str> {
        let mut end = 0;
        let mut sum = 0_u64;
        for (offset, length) in &self.parts {
            if *offset < end {
                return Err("the parts of its content are not in order");
            }
            end = offset.checked_add(*length).ok_or("a part of its content lies outside of it")?;
            sum = sum.saturating_add(*length);
        }
        if end > self.size {
            return Err("a part of its content lies outside of it");
        }
        if sum == stored { Ok(()) } else { Err("the parts of its content are not as long as what the archive has") }
    }

    fn push(&mut self, offset: u64, length: u64) -> Result<(), &'static str> {
        if self.parts.len() >= MAX_PARTS {
            return Err("its content has more than 1048576 parts");
        }
        self.parts.push((offset, length));
        Ok(())
    }
}

/// Reads the map of a header of type `S`, with the blocks that continue it.
pub(super) fn of_header(
    block: &[u8; BLOCK],
    input: &mut Input<impl Read>,
    number: impl Fn(&[u8]) -> Option<u64>,
) -> Result<Result<Map, &'static str>, LayerError> {
    const WRONG: &str = "a number in the map of a sparse file is none";
    let mut map = Map::default();
    match number(&block[483..495]) {
        Some(size) => map.size = size,
        None => return Ok(Err(WRONG)),
    }
    let add = |map: &mut Map, table: &[u8], count: usize| {
        for entry in table.chunks_exact(24).take(count).take_while(|entry| entry[0] != 0) {
            let (Some(offset), Some(length)) = (number(&entry[..12]), number(&entry[12..])) else { return Err(WRONG) };
            map.push(offset, length)?;
        }
        Ok(())
    };
    if let Err(what) = add(&mut map, &block[386..482], PARTS_IN_HEADER) {
        return Ok(Err(what));
    }
    let mut more = block[482] != 0;
    while more {
        let mut next = [0; BLOCK];
        input.bytes(&mut next)?;
        if let Err(what) = add(&mut map, &next[..504], PARTS_IN_BLOCK) {
            return Ok(Err(what));
        }
        more = next[504] != 0;
    }
    Ok(Ok(map))
}

/// Takes what PAX records say of a sparse file, and its name.
pub(super) fn of_records(
    records: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<(Option<Sparse>, Option<Vec<u8>>), &'static str> {
    const WRONG: &str = "a number in the map of a sparse file is none";
    let mut record = |key: &str| records.remove(format!("GNU.sparse.{key}").as_bytes());
    let (major, minor, name) = (record("major"), record("minor"), record("name"));
    let (size, real_size, map) = (record("size"), record("realsize"), record("map"));
    record("numblocks");
    let number = |digits: Option<Vec<u8>>| digits.and_then(|digits| pax::number(&digits)).ok_or(WRONG);
    let sparse = match (major.as_deref(), minor.as_deref(), map) {
        (Some(b"1"), Some(b"0"), None) => Some(Sparse::Before { size: number(real_size)? }),
        (None, None, Some(list)) => {
            let mut map = Map { size: number(size)?, parts: Vec::new() };
            let mut numbers = list.split(|byte| *byte == b',').map(pax::number);
            while let Some(offset) = numbers.next() {
                let (offset, length) = (offset.ok_or(WRONG)?, numbers.next().flatten().ok_or(WRONG)?);
                map.push(offset, length)?;
            }
            Some(Sparse::Mapped(map))
        }
        (None, None, None) if size.is_none() && real_size.is_none() => None,
        _ => return Err("a sparse file is of a form that is not known"),
    };
    if records.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
        return Err("a sparse file is of a form that is not known");
    }
    Ok((sparse, name))
}

/// Reads the map that stands before the content: a number a line, filled up to a whole block. Returns it with the
/// bytes that it took of the content.
pub(super) fn before_content(
    size: u64,
    stored: u64,
    input: &mut Input<impl Read>,
) -> Result<Result<(Map, u64), &'static str>, LayerError> {
    const WRONG: &str = "the map before its content is malformed";
    let mut numbers = Numbers { block: [0; BLOCK], at: BLOCK, taken: 0, stored };
    let Some(count) = numbers.next(input)? else { return Ok(Err(WRONG)) };
    let mut map = Map { size, parts: Vec::new() };
    for _ in 0..count {
        let (Some(offset), Some(length)) = (numbers.next(input)?, numbers.next(input)?) else { return Ok(Err(WRONG)) };
        if let Err(what) = map.push(offset, length) {
            return Ok(Err(what));
        }
    }
    Ok(Ok((map, numbers.taken)))
}

/// Numbers of a map, read block by block.
struct Numbers {
    block: [u8; BLOCK],
    at: usize,
    taken: u64,
    stored: u64,
}

impl Numbers {
    /// Reads a number; `None` when there is none.
    fn next(&mut self, input: &mut Input<impl Read>) -> Result<Option<u64>, LayerError> {
        let mut digits = Vec::new();
        loop {
            if self.at == BLOCK {
                if self.taken + BLOCK as u64 > self.stored {
                    return Ok(None);
                }
                input.bytes(&mut self.block)?;
                self.taken += BLOCK as u64;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' if digits.is_empty() => return Ok(None),
                b'\n' => return Ok(pax::number(&digits)),
                _ if digits.len() > 20 => return Ok(None),
                _ => digits.push(byte),
            }
        }
    }
}
