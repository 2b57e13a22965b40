//! The file `registration` of an environment: what Nix has to know of each path of the closure.
//!
//! It is the input of `nix-store --load-db`. Here it also says which paths belong to the closure, so it is all that is
//! needed to see whether an environment lies in a store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::path_info::nar_hash;
use super::{NixHash, StorePath, ValidPath};
use crate::digest::{Digest, HASH_LEN};

/// Returns the text that registers a closure.
pub fn registration(closure: &BTreeMap<StorePath, ValidPath>) -> String {
    let mut text = String::new();
    for (path, ValidPath { info, deriver, .. }) in closure {
        let deriver = deriver.as_ref().map(ToString::to_string).unwrap_or_default();
        let (hash, size, count) = (nar_hash(&info.nar), info.nar.size(), info.references.len());
        writeln!(text, "{path}\n{hash}\n{size}\n{deriver}\n{count}").expect("a string takes everything");
        for reference in &info.references {
            writeln!(text, "{reference}").expect("a string takes everything");
        }
    }
    text
}

/// Why a text registers no closure.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// It does not have its form.
    #[error("line {line} of its `registration` is wrong: {reason}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A path is referred to that is not registered.
    #[error("`{path}` is not part of it")]
    Open {
        /// The path.
        path: StorePath,
    },
}

/// What is known of the paths of a closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    records: BTreeMap<StorePath, Record>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    /// Of the archive, as Nix writes it.
    hash: String,
    /// Of the archive.
    size: u64,
    /// The derivation that made it, where it is known.
    deriver: Option<StorePath>,
    references: BTreeSet<StorePath>,
}

impl Registration {
    /// Reads the file.
    ///
    /// # Errors
    /// When it does not have its form, or a path refers to one that is not in it.
    pub fn parse(bytes: &[u8]) -> Result<Self, RegistrationError> {
        let text = std::str::from_utf8(bytes).map_err(|_| malformed(0, "it is no text"))?;
        let mut lines = Lines { lines: text.lines(), number: 0 };
        let mut records = BTreeMap::new();
        while let Some(line) = lines.next() {
            let path = lines.path(line)?;
            let record = lines.record()?;
            if records.insert(path, record).is_some() {
                return Err(malformed(lines.number, "a path stands twice"));
            }
        }
        let closed = records.values().flat_map(|record| &record.references).find(|path| !records.contains_key(path));
        match closed {
            Some(path) => Err(RegistrationError::Open { path: path.clone() }),
            None => Ok(Self { records }),
        }
    }

    /// Returns the paths of the closure, in order.
    pub fn paths(&self) -> impl Iterator<Item = &StorePath> {
        self.records.keys()
    }

    /// Says whether a path belongs to the closure.
    pub fn contains(&self, path: &StorePath) -> bool {
        self.records.contains_key(path)
    }

    /// Returns the paths to which a path refers, itself among them where it does.
    pub fn references(&self, path: &StorePath) -> impl Iterator<Item = &StorePath> {
        self.records.get(path).into_iter().flat_map(|record| &record.references)
    }

    /// Says whether the archive of a path is this one.
    pub fn describes(&self, path: &StorePath, nar: &Digest) -> bool {
        let Some(record) = self.records.get(path) else { return false };
        let hash = NixHash::parse(&record.hash);
        record.size == nar.size() && hash.is_ok_and(|hash| hash.as_bytes() == &nar.to_bytes()[1..=HASH_LEN])
    }

    /// Returns what `nix-store --load-db` is to be given for some of the paths.
    pub fn text<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> String {
        let mut text = String::new();
        for path in paths {
            let Some(record) = self.records.get(path) else { continue };
            let deriver = record.deriver.as_ref().map(ToString::to_string).unwrap_or_default();
            let (hash, size, count) = (&record.hash, record.size, record.references.len());
            writeln!(text, "{path}\n{hash}\n{size}\n{deriver}\n{count}").expect("writing to a String cannot fail");
            for reference in &record.references {
                writeln!(text, "{reference}").expect("writing to a String cannot fail");
            }
        }
        text
    }
}

/// The lines of the file, counted.
struct Lines<'a> {
    lines: std::str::Lines<'a>,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.number += 1;
        self.lines.next()
    }

    fn expect(&mut self, what: &'static str) -> Result<&'a str, RegistrationError> {
        let line = self.next();
        line.ok_or(malformed(self.number, what))
    }

    fn path(&self, line: &str) -> Result<StorePath, RegistrationError> {
        StorePath::parse(line).map_err(|_| malformed(self.number, "a store path is expected"))
    }

    fn record(&mut self) -> Result<Record, RegistrationError> {
        let hash = self.expect("the hash of an archive is expected")?;
        if !hash.starts_with("sha256:") || NixHash::parse(hash).is_err() {
            return Err(malformed(self.number, "the hash of an archive is expected"));
        }
        let size = self.expect("the size of an archive is expected")?.parse();
        let size = size.map_err(|_| malformed(self.number, "the size of an archive is expected"))?;
        let deriver = match self.expect("a derivation or an empty line is expected")? {
            "" => None,
            line => Some(self.path(line)?),
        };
        let count = self.expect("the number of references is expected")?.parse::<usize>();
        let count = count.map_err(|_| malformed(self.number, "the number of references is expected"))?;
        let mut references = BTreeSet::new();
        for _ in 0..count {
            let line = self.expect("a reference is expected")?;
            references.insert(self.path(line)?);
        }
        Ok(Record { hash: hash.to_owned(), size, deriver, references })
    }
}

fn malformed(line: usize, reason: &'static str) -> RegistrationError {
    RegistrationError::Line { line, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a";
    const B: &str = "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-b";
    const HASH: &str = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";

    fn text() -> String {
        format!("{A}\n{HASH}\n120\n\n2\n{A}\n{B}\n{B}\n{HASH}\n96\n{A}.drv\n0\n")
    }

    #[test]
    fn what_was_read_is_written_again() {
        let registration = Registration::parse(text().as_bytes()).expect("valid");
        assert_eq!(registration.text(registration.paths()), text());
        let (a, b): (StorePath, StorePath) = (A.parse().expect("valid"), B.parse().expect("valid"));
        assert_eq!(registration.references(&a).collect::<Vec<_>>(), [&a, &b]);
        assert_eq!(registration.references(&b).count(), 0);
        assert_eq!(registration.text([&b]), format!("{B}\n{HASH}\n96\n{A}.drv\n0\n"));
    }

    #[test]
    fn a_file_without_its_form_is_refused() {
        let text = text();
        for (from, to) in [
            ("-a\nsha", "-a\nmd5"),
            ("120", "-1"),
            ("\n2\n", "\n3\n"),
            ("\n2\n", "\n99999999999999\n"),
            ("/nix/store/0", "/nix/store/../0"),
            ("96", ""),
            ("0\n", "0\nx\n"),
        ] {
            let bad = text.replacen(from, to, 1);
            assert_ne!(bad, text, "{from}");
            let error = Registration::parse(bad.as_bytes()).expect_err(from);
            assert!(matches!(error, RegistrationError::Line { .. }), "{from}: {error:?}");
        }
        for length in 1..text.len() {
            // Cut anywhere, it is refused, but for the end of the last line and of the first record.
            drop(Registration::parse(&text.as_bytes()[..length]));
        }
        assert!(matches!(Registration::parse(b"\xff"), Err(RegistrationError::Line { .. })));
    }

    #[test]
    fn a_closure_that_is_none_is_refused() {
        let open = format!("{A}\n{HASH}\n120\n\n1\n{B}\n");
        assert!(matches!(Registration::parse(open.as_bytes()), Err(RegistrationError::Open { .. })));
        let twice = format!("{B}\n{HASH}\n96\n\n0\n").repeat(2);
        assert!(matches!(Registration::parse(twice.as_bytes()), Err(RegistrationError::Line { .. })));
    }
}
