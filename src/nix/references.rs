//! Which store paths a stream of bytes names, by the hash parts that occur in it.
//!
//! As Nix does it: what refers to a path has its hash somewhere, in a file, a name or the target of a link.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use super::base32::{digit_value, is_digit};
use super::store_path::{HASH_PART_LEN, StorePath};

/// Bits that tell the candidates apart before their hash parts are compared: those of four digits.
const FILTER_BITS: usize = 1 << 20;

/// Looks for candidates in bytes that come piece by piece.
#[derive(Debug)]
pub struct ReferenceScanner {
    candidates: HashMap<[u8; HASH_PART_LEN], (Vec<StorePath>, bool)>,
    filter: Vec<u64>,
    tail: Vec<u8>,
}

impl ReferenceScanner {
    /// Returns a scanner for these paths.
    pub fn new(paths: impl IntoIterator<Item = StorePath>) -> Self {
        let mut scanner = Self { candidates: HashMap::new(), filter: vec![0; FILTER_BITS / 64], tail: Vec::new() };
        for path in paths {
            let hash_part: [u8; HASH_PART_LEN] =
                path.hash_part().as_bytes().try_into().expect("a store path has a hash part of this length");
            let bit = filter_bit(&hash_part);
            scanner.filter[bit / 64] |= 1 << (bit % 64);
            scanner.candidates.entry(hash_part).or_default().0.push(path);
        }
        scanner
    }

    /// Looks at the next piece, and at what lies across its border.
    pub fn update(&mut self, bytes: &[u8]) {
        let border = bytes.len().min(HASH_PART_LEN - 1);
        let mut joined = std::mem::take(&mut self.tail);
        joined.extend_from_slice(&bytes[..border]);
        self.search(&joined);
        if bytes.len() >= HASH_PART_LEN {
            self.search(bytes);
            joined.clear();
            joined.extend_from_slice(&bytes[bytes.len() - (HASH_PART_LEN - 1)..]);
        } else {
            joined.drain(..joined.len().saturating_sub(HASH_PART_LEN - 1));
        }
        self.tail = joined;
    }

    /// Returns the candidates that occurred.
    pub fn finish(self) -> BTreeSet<StorePath> {
        self.candidates.into_values().filter(|(_, found)| *found).flat_map(|(paths, _)| paths).collect()
    }

    /// Looks at every run of as many digits as a hash part has; no byte is looked at twice.
    fn search(&mut self, bytes: &[u8]) {
        let mut start = 0;
        // All bytes from `start` up to here are digits.
        let mut digits = 0;
        while let Some(window) = bytes.get(start..start + HASH_PART_LEN) {
            let known = digits - start;
            digits = start + HASH_PART_LEN;
            match window[known..].iter().rposition(|byte| !is_digit(*byte)) {
                Some(other) => start += known + other + 1,
                None => {
                    self.compare(window);
                    start += 1;
                }
            }
        }
    }

    fn compare(&mut self, window: &[u8]) {
        let bit = filter_bit(window);
        if self.filter[bit / 64] >> (bit % 64) & 1 == 1
            && let Some((_, found)) = self.candidates.get_mut(window)
        {
            *found = true;
        }
    }
}

/// Returns the number that the first four digits make.
fn filter_bit(digits: &[u8]) -> usize {
    digits.iter().take(4).fold(0, |bit, digit| bit << 5 | usize::from(digit_value(*digit).unwrap_or(0)))
}

impl Write for ReferenceScanner {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::base32;
    use super::*;

    fn path(seed: u64) -> StorePath {
        let mut random = fastrand::Rng::with_seed(seed);
        let hash: [u8; 20] = std::array::from_fn(|_| random.u8(..));
        StorePath::from_base_name(&format!("{}-x", base32::encode(&hash))).expect("valid")
    }

    fn scan<'a>(paths: &[StorePath], pieces: impl IntoIterator<Item = &'a [u8]>) -> BTreeSet<StorePath> {
        let mut scanner = ReferenceScanner::new(paths.iter().cloned());
        pieces.into_iter().for_each(|piece| scanner.update(piece));
        scanner.finish()
    }

    #[test]
    fn a_hash_is_found_wherever_it_stands_and_however_the_bytes_come() {
        let (wanted, other) = (path(1), path(2));
        for around in [&b"!"[..], b"", b"0", b"0123456789abcdfghijklmnpqrsvwxyz0123"] {
            let text = [around, wanted.hash_part().as_bytes(), around].concat();
            for size in 1..=text.len() {
                let found = scan(&[wanted.clone(), other.clone()], text.chunks(size));
                assert_eq!(found, [wanted.clone()].into(), "{size}");
            }
        }
    }

    #[test]
    fn part_of_a_hash_or_a_broken_one_is_none() {
        let wanted = path(1);
        let hash = wanted.hash_part();
        for text in [hash[1..].to_owned(), format!("{}-{}", &hash[..16], &hash[16..]), hash.to_uppercase()] {
            assert!(scan(std::slice::from_ref(&wanted), [text.as_bytes()]).is_empty(), "{text}");
        }
    }

    #[test]
    fn paths_of_one_hash_are_found_together() {
        let one = path(1);
        let two = StorePath::from_base_name(&format!("{}-y", one.hash_part())).expect("valid");
        assert_eq!(scan(&[one.clone(), two.clone()], [one.hash_part().as_bytes()]), [one, two].into());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn what_is_found_is_what_a_plain_search_finds(
            seeds in prop::collection::vec(0..12_u64, 0..6),
            between in prop::collection::vec("[0-9a-df-np-sv-z]{0,40}|.{0,9}", 7),
            sizes in prop::collection::vec(1..70_usize, 1..5),
        ) {
            let mut text = between[6].clone();
            for (seed, before) in seeds.iter().zip(&between) {
                text.push_str(before);
                // Some lack their last digit.
                let whole = path(*seed);
                text.push_str(&whole.hash_part()[..if seed % 3 == 0 { 31 } else { 32 }]);
            }
            let paths: Vec<StorePath> = (0..10).map(path).collect();
            let plain = paths.iter().filter(|path| text.contains(path.hash_part())).cloned().collect();
            let (mut pieces, mut rest) = (Vec::new(), text.as_bytes());
            for size in sizes.iter().cycle() {
                let (piece, behind) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(scan(&paths, pieces), plain);
        }
    }
}
