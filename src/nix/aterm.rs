//! The notation of derivations: strings, lists and tuples, in the one form in which Nix writes them.
//!
//! What Nix would read but never write is refused, so what is read is written again byte by byte.

use std::collections::{BTreeMap, BTreeSet};

use super::derivation::DerivationError;

/// A text on its way through the parser.
pub(super) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Returns how many bytes have been read.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// Says whether a token comes next, and passes it by.
    pub(super) fn take(&mut self, token: &str) -> bool {
        let there = self.rest().starts_with(token.as_bytes());
        if there {
            self.at += token.len();
        }
        there
    }

    /// Passes a token by that must come next.
    pub(super) fn expect(&mut self, token: &'static str) -> Result<(), DerivationError> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected(token)) }
    }

    /// Checks that nothing comes any more.
    pub(super) fn end(&self) -> Result<(), DerivationError> {
        if self.rest().is_empty() { Ok(()) } else { Err(self.unexpected("the end")) }
    }

    fn unexpected(&self, expected: &'static str) -> DerivationError {
        let found = self.rest().get(..20).unwrap_or_else(|| self.rest());
        DerivationError::Syntax { offset: self.at, expected, found: found.escape_ascii().to_string() }
    }

    /// Reads a string.
    pub(super) fn string(&mut self) -> Result<String, DerivationError> {
        self.expect("\"")?;
        let mut bytes = Vec::new();
        let start = self.at;
        loop {
            let plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0);
            let run = self.rest().iter().take_while(|byte| plain(byte)).count();
            bytes.extend_from_slice(&self.rest()[..run]);
            self.at += run;
            match self.rest() {
                [b'"', ..] => break,
                [b'\\', escape, ..] => {
                    bytes.push(unescaped(*escape).ok_or_else(|| self.unexpected("one of \\\" \\\\ \\n \\r \\t"))?);
                    self.at += 2;
                }
                _ => return Err(self.unexpected("the rest of a string, with line ends and tabs escaped")),
            }
        }
        self.at += 1;
        String::from_utf8(bytes).map_err(|source| DerivationError::Utf8 { offset: start, source })
    }

    /// Reads a list in brackets.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, DerivationError>,
    ) -> Result<Vec<T>, DerivationError> {
        self.expect("[")?;
        let mut items = Vec::new();
        if self.take("]") {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.take("]") {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }

    /// Reads a list whose keys rise.
    pub(super) fn map<K: Ord, V>(
        &mut self,
        mut entry: impl FnMut(&mut Self) -> Result<(K, V), DerivationError>,
    ) -> Result<BTreeMap<K, V>, DerivationError> {
        let mut map = BTreeMap::new();
        self.list(|reader| {
            let offset = reader.offset();
            let (key, value) = entry(reader)?;
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(DerivationError::Order { offset });
            }
            map.insert(key, value);
            Ok(())
        })?;
        Ok(map)
    }

    /// Reads a list of items that rise.
    pub(super) fn set<T: Ord>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, DerivationError>,
    ) -> Result<BTreeSet<T>, DerivationError> {
        Ok(self.map(|reader| Ok((item(reader)?, ())))?.into_keys().collect())
    }
}

fn unescaped(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        _ => None,
    }
}

/// Writes a string.
pub(super) fn write_string(text: &mut String, value: &str) {
    text.push('"');
    for char in value.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            other => text.push(other),
        }
    }
    text.push('"');
}

/// Writes a list in brackets.
pub(super) fn write_list<T>(
    text: &mut String,
    items: impl IntoIterator<Item = T>,
    mut item: impl FnMut(&mut String, T),
) {
    text.push('[');
    for (index, value) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        item(text, value);
    }
    text.push(']');
}

/// Writes strings between parentheses.
pub(super) fn write_tuple(text: &mut String, values: &[&str]) {
    text.push('(');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_string(text, value);
    }
    text.push(')');
}
