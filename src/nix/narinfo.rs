//! What a binary cache says of an object: a `.narinfo` file.

mod error;

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use super::hash::{HashAlgorithm, NixHash};
use super::path_info::{PathInfo, nar_digest_of, nar_hash};
use super::signing::{PublicKey, SecretKey, Signature};
use super::store_path::StorePath;

pub use error::NarInfoError;

/// Longest narinfo, in bytes.
pub const MAX_NARINFO_BYTES: usize = 4 << 20;
/// What stands for a deriver that nobody knows.
const UNKNOWN_DERIVER: &str = "unknown-deriver";

/// How an archive in a cache is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// bzip2, which is also meant where nothing is said.
    Bzip2,
    /// gzip.
    Gzip,
    /// LZ4 frames.
    Lz4,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// Every one that can be read.
    pub const ALL: [Self; 6] = [Self::None, Self::Bzip2, Self::Gzip, Self::Lz4, Self::Xz, Self::Zstd];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }
}

/// An object in a binary cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    /// The object.
    pub path: StorePath,
    /// What is known of it.
    pub info: PathInfo,
    /// Where its archive lies, relative to the cache.
    pub url: String,
    /// How the archive is compressed there.
    pub compression: Compression,
    /// Hash of the compressed archive.
    pub file_hash: Option<NixHash>,
    /// Bytes of the compressed archive.
    pub file_size: Option<u64>,
    /// The derivation that made it.
    pub deriver: Option<StorePath>,
    /// Who vouches for it.
    pub signatures: Vec<Signature>,
}

impl NarInfo {
    /// Reads the text of a `.narinfo` file. Fields that are not known are passed over.
    ///
    /// # Errors
    /// When it is malformed, or lacks what nobody can do without.
    pub fn parse(text: &str) -> Result<Self, NarInfoError> {
        let fields = Fields::split(text)?;
        let path = |field, text: &str| StorePath::parse(text).map_err(|source| NarInfoError::Path { field, source });
        let base = |field, text| StorePath::from_base_name(text).map_err(|source| NarInfoError::Path { field, source });
        let hash = |field, text| NixHash::parse(text).map_err(|source| NarInfoError::Hash { field, source });
        let nar_hash = fields.required("NarHash", |value| hash("NarHash", value))?;
        let nar_size = fields.required("NarSize", |value| number("NarSize", value))?;
        let only_sha256 = || wrong("NarHash", &nar_hash.to_string());
        let sha256 = Some(nar_hash.as_bytes()).filter(|_| nar_hash.algorithm() == HashAlgorithm::Sha256);
        let nar_hash = sha256.and_then(|bytes| bytes.try_into().ok()).ok_or_else(only_sha256)?;
        let references = fields.required("References", |value| {
            value.split(' ').filter(|word| !word.is_empty()).map(|word| base("References", word)).collect()
        })?;
        let content_address = fields.optional("CA", |value| Ok(value.to_owned()))?;
        let deriver = fields.optional("Deriver", |value| match value {
            UNKNOWN_DERIVER => Ok(None),
            text => base("Deriver", text).map(Some),
        })?;
        Ok(Self {
            path: fields.required("StorePath", |value| path("StorePath", value))?,
            info: PathInfo { nar: nar_digest_of(nar_hash, nar_size), references, content_address },
            url: fields.required("URL", url)?,
            compression: fields.optional("Compression", compression)?.unwrap_or(Compression::Bzip2),
            file_hash: fields.optional("FileHash", |value| hash("FileHash", value))?,
            file_size: fields.optional("FileSize", |value| number("FileSize", value))?,
            deriver: deriver.flatten(),
            signatures: fields.signatures()?,
        })
    }

    /// Adds the signature of a key, once.
    pub fn sign(&mut self, key: &SecretKey) {
        let signature = key.sign(&self.info.fingerprint(&self.path));
        if !self.signatures.contains(&signature) {
            self.signatures.push(signature);
        }
    }

    /// Says whether one of the keys made one of the signatures for what the narinfo says.
    pub fn is_signed_by(&self, keys: &[PublicKey]) -> bool {
        let text = self.info.fingerprint(&self.path);
        self.signatures.iter().any(|signature| keys.iter().any(|key| key.verifies(&text, signature)))
    }
}

/// The text of the file.
impl fmt::Display for NarInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "StorePath: {}\nURL: {}\nCompression: {}", self.path, self.url, self.compression.as_str())?;
        self.file_hash.iter().try_for_each(|hash| writeln!(f, "FileHash: {hash}"))?;
        self.file_size.iter().try_for_each(|size| writeln!(f, "FileSize: {size}"))?;
        writeln!(f, "NarHash: {}\nNarSize: {}", nar_hash(&self.info.nar), self.info.nar.size())?;
        f.write_str("References: ")?;
        for (index, path) in self.info.references.iter().enumerate() {
            if index > 0 {
                f.write_char(' ')?;
            }
            f.write_str(path.base_name())?;
        }
        f.write_char('\n')?;
        self.deriver.iter().try_for_each(|deriver| writeln!(f, "Deriver: {}", deriver.base_name()))?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "Sig: {signature}"))?;
        self.info.content_address.iter().try_for_each(|content| writeln!(f, "CA: {content}"))
    }
}

/// The lines of a narinfo.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn split(text: &'a str) -> Result<Self, NarInfoError> {
        if text.len() > MAX_NARINFO_BYTES {
            return Err(NarInfoError::TooLarge { size: text.len() });
        }
        let lines = text.split_inclusive('\n').enumerate().map(|(index, line)| {
            let field = line.strip_suffix('\n').and_then(|line| line.split_once(": "));
            field.ok_or(NarInfoError::Line { line: index + 1 })
        });
        Ok(Self(lines.collect::<Result<_, _>>()?))
    }

    fn all(&self, field: &'static str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| *name == field).map(|(_, value)| *value)
    }

    fn optional<T>(
        &self,
        field: &'static str,
        read: impl FnOnce(&'a str) -> Result<T, NarInfoError>,
    ) -> Result<Option<T>, NarInfoError> {
        let mut values = self.all(field);
        let value = values.next();
        if values.next().is_some() {
            return Err(NarInfoError::Twice { field });
        }
        value.map(read).transpose()
    }

    fn required<T>(
        &self,
        field: &'static str,
        read: impl FnOnce(&'a str) -> Result<T, NarInfoError>,
    ) -> Result<T, NarInfoError> {
        self.optional(field, read)?.ok_or(NarInfoError::Missing { field })
    }

    fn signatures(&self) -> Result<Vec<Signature>, NarInfoError> {
        let read = |text: &str| text.parse().map_err(|source| NarInfoError::Signature { source });
        let signatures: BTreeSet<Signature> = self.all("Sig").map(read).collect::<Result<_, _>>()?;
        Ok(signatures.into_iter().collect())
    }
}

fn wrong(field: &'static str, value: &str) -> NarInfoError {
    NarInfoError::Value { field, value: value.chars().take(200).collect() }
}

/// Reads a size, which is never zero: an archive has at least a head.
fn number(field: &'static str, value: &str) -> Result<u64, NarInfoError> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let size = value.parse().ok().filter(|size| digits && *size > 0);
    size.ok_or_else(|| wrong(field, value))
}

fn compression(value: &str) -> Result<Compression, NarInfoError> {
    let known = Compression::ALL.into_iter().find(|compression| compression.as_str() == value);
    known.ok_or_else(|| wrong("Compression", value))
}

fn url(value: &str) -> Result<String, NarInfoError> {
    let unusable = |char: char| char.is_whitespace() || char.is_control();
    if value.is_empty() || value.contains(unusable) { Err(wrong("URL", value)) } else { Ok(value.to_owned()) }
}

#[cfg(test)]
mod tests;
