//! Nix's base 32: digits without `e`, `o`, `t` and `u`, the last group of bits first.

/// The digits by their value.
pub const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// What stands in `VALUES` for a byte that is no digit.
const NONE: u8 = 0xff;

/// The value of each byte as a digit.
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut value = 0;
    while value < 32 {
        table[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    table
}

/// Why a text is not in base 32.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Base32Error {
    /// A byte of it is no digit.
    #[error("byte {offset} is no digit of Nix's base 32")]
    Digit {
        /// Where it stands.
        offset: usize,
    },
    /// No number of whole bytes is written with so many digits.
    #[error("{length} digits of Nix's base 32 are no whole bytes")]
    Length {
        /// The digits given.
        length: usize,
    },
    /// The bits beyond the last byte are not zero.
    #[error("the first digit of Nix's base 32 holds more than the last byte has")]
    Rest,
}

/// Says whether a byte is a digit.
pub fn is_digit(byte: u8) -> bool {
    VALUES[usize::from(byte)] != NONE
}

/// Returns the value of a digit.
pub(super) fn digit_value(byte: u8) -> Option<u8> {
    Some(VALUES[usize::from(byte)]).filter(|value| *value != NONE)
}

/// Returns how many digits so many bytes take.
pub const fn encoded_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Returns the text of bytes.
pub fn encode(bytes: &[u8]) -> String {
    let byte = |index: usize| u16::from(bytes.get(index).copied().unwrap_or(0));
    let digit = |position: usize| {
        let (index, shift) = (position * 5 / 8, position * 5 % 8);
        let pair = byte(index) | byte(index + 1) << 8;
        char::from(ALPHABET[usize::from(pair >> shift & 31)])
    };
    (0..encoded_len(bytes.len())).rev().map(digit).collect()
}

/// Returns the bytes of a text.
///
/// # Errors
/// When it holds something else than digits, or is no text that `encode` returns.
pub fn decode(text: &str) -> Result<Vec<u8>, Base32Error> {
    let length = text.len() * 5 / 8;
    if encoded_len(length) != text.len() {
        return Err(Base32Error::Length { length: text.len() });
    }
    let mut bytes = vec![0; length];
    for (position, (offset, byte)) in text.bytes().enumerate().rev().enumerate() {
        let value = u16::from(digit_value(byte).ok_or(Base32Error::Digit { offset })?);
        let (index, shift) = (position * 5 / 8, position * 5 % 8);
        let [low, high] = (value << shift).to_le_bytes();
        bytes[index] |= low;
        match bytes.get_mut(index + 1) {
            Some(byte) => *byte |= high,
            None if high != 0 => return Err(Base32Error::Rest),
            None => {}
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_texts_are_encoded_and_decoded() {
        for (bytes, text) in [(&b""[..], ""), (b"\x00", "00"), (b"\x1f", "0z"), (b"\xff", "7z"), (b"\x00\x01", "0080")]
        {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).expect("valid"), bytes);
        }
    }

    #[test]
    fn texts_that_nothing_is_encoded_to_are_refused() {
        assert_eq!(decode("0e"), Err(Base32Error::Digit { offset: 1 }));
        assert_eq!(decode("A0"), Err(Base32Error::Digit { offset: 0 }));
        assert_eq!(decode("8z"), Err(Base32Error::Rest));
        assert_eq!(decode("0"), Err(Base32Error::Length { length: 1 }));
        assert_eq!(decode("000"), Err(Base32Error::Length { length: 3 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn every_encoding_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(decode(&encode(&bytes)).expect("valid"), bytes);
        }

        #[test]
        fn what_is_decoded_is_encoded_as_it_was(text in "[0-9a-df-np-sv-z]{0,60}|.{0,12}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
