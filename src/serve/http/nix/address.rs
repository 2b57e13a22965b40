//! What the paths of the cache name.
//!
//! `HASH.narinfo` and `nar/HASH-NARHASH.nar`, the same below `zstd/` with archives that are compressed on their way.
//! HASH is the hash part of the object's path: with it everything is found in the table of objects.

use crate::nix::{Compression, HASH_PART_LEN, StorePath, ValidPath};

/// Where the same cache lies with compressed archives.
const ZSTD: &str = "zstd/";
/// Length of a SHA-256 in base 32.
const NAR_HASH_LEN: usize = 52;

/// What a path below `/nix/` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// What the cache is.
    CacheInfo,
    /// The key that signs.
    PublicKey,
    /// What is known of an object.
    NarInfo {
        /// Which archive it names.
        compression: Compression,
        /// The hash part of the object's path.
        hash_part: &'a str,
    },
    /// The archive of an object.
    Nar {
        /// How it is compressed.
        compression: Compression,
        /// The hash part of the object's path.
        hash_part: &'a str,
        /// SHA-256 of the archive, in base 32.
        nar_hash: &'a str,
    },
}

impl<'a> Address<'a> {
    /// Returns what a path names, if it names anything.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        if path == "public-key" {
            return Some(Self::PublicKey);
        }
        let (path, compression) = match path.strip_prefix(ZSTD) {
            Some(rest) => (rest, Compression::Zstd),
            None => (path, Compression::None),
        };
        if path == "nix-cache-info" {
            return Some(Self::CacheInfo);
        }
        if let Some(hash_part) = path.strip_suffix(".narinfo") {
            return is_hash_part(hash_part).then_some(Self::NarInfo { compression, hash_part });
        }
        let (hash_part, nar_hash) = path.strip_prefix("nar/")?.strip_suffix(suffix(compression))?.split_once('-')?;
        let is_nar = is_hash_part(hash_part) && nar_hash.len() == NAR_HASH_LEN;
        is_nar.then_some(Self::Nar { compression, hash_part, nar_hash })
    }
}

/// Returns where the archive of an object lies, relative to the cache.
pub(super) fn nar_url(object: &ValidPath, compression: Compression) -> String {
    let nar_hash = object.info.nar_hash_base32();
    format!("nar/{}-{nar_hash}{}", object.path.hash_part(), suffix(compression))
}

fn suffix(compression: Compression) -> &'static str {
    if compression == Compression::Zstd { ".nar.zst" } else { ".nar" }
}

/// Says whether a text can be the hash part of a path.
pub(super) fn is_hash_part(text: &str) -> bool {
    text.len() == HASH_PART_LEN && StorePath::from_base_name(&format!("{text}-x")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdfghijklmnpqrsvwxyz";

    #[test]
    fn every_path_names_one_thing_or_nothing() {
        let nar_hash = "0".repeat(52);
        for (prefix, compression, suffix) in [("", Compression::None, ".nar"), (ZSTD, Compression::Zstd, ".nar.zst")] {
            let parsed = |rest: &str| format!("{prefix}{rest}");
            let (narinfo, nar) =
                (parsed(&format!("{HASH}.narinfo")), parsed(&format!("nar/{HASH}-{nar_hash}{suffix}")));
            assert_eq!(Address::parse(&narinfo), Some(Address::NarInfo { compression, hash_part: HASH }));
            let expected = Address::Nar { compression, hash_part: HASH, nar_hash: &nar_hash };
            assert_eq!(Address::parse(&nar), Some(expected));
            assert_eq!(Address::parse(&parsed("nix-cache-info")), Some(Address::CacheInfo));
        }
        for nothing in [
            "",
            "zstd/public-key",
            "zstd/zstd/nix-cache-info",
            &format!("{HASH}0.narinfo"),
            &format!("{}.narinfo", HASH.to_uppercase()),
            &format!("nar/{HASH}.nar"),
            &format!("nar/{HASH}-{nar_hash}.nar.zst"),
            &format!("nar/{HASH}-{nar_hash}0.nar"),
            &format!("zstd/nar/{HASH}-{nar_hash}.nar"),
            &format!("é{}.narinfo", &HASH[2..]),
            &format!("../{HASH}.narinfo"),
        ] {
            assert_eq!(Address::parse(nothing), None, "{nothing}");
        }
    }
}
