//! The extended headers of tar archives: `LENGTH KEY=VALUE` and a new line, the length counting the whole.

use std::collections::BTreeMap;

/// What stands before the name of an extended attribute.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";

/// Appends a record.
pub(super) fn append(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    // The digits of the length count too.
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Returns the records of a header by key; of the same key twice the last. Values may have any bytes.
pub(super) fn parse(mut bytes: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, &'static str> {
    const WRONG: &str = "an extended header is malformed";
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or(WRONG)?;
        let length = number(&bytes[..space]).and_then(|length| usize::try_from(length).ok()).ok_or(WRONG)?;
        let record = bytes.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or(WRONG)?;
        let equals = record.iter().position(|byte| *byte == b'=').filter(|at| *at > 0).ok_or(WRONG)?;
        records.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        bytes = &bytes[length..];
    }
    Ok(records)
}

/// Reads a decimal number.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Reads a time in seconds; fractions are cut, and times before 1970 are its beginning.
pub(super) fn time(text: &[u8]) -> Option<u64> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let (seconds, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b"0"[..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    number(seconds).map(|seconds| if negative { 0 } else { seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_the_digits_of_its_length() {
        for length in (0..200).chain(960..1020).chain(9970..10010) {
            let mut records = Vec::new();
            append(&mut records, b"key", &vec![b'\n'; length]);
            append(&mut records, b"other", b"a=b");
            let parsed = parse(&records).expect("valid");
            assert_eq!(parsed[&b"key"[..]].len(), length);
            assert_eq!(parsed[&b"other"[..]], b"a=b");
        }
        let mut records = Vec::new();
        append(&mut records, b"path", b"x");
        assert_eq!(records, b"9 path=x\n");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bad in [
            &b"10 path=x"[..],
            b"8 path=x\n",
            b"11 path=x\n",
            b"x path=x\n",
            b" path=x\n",
            b"0 \n",
            b"1 \n",
            b"2 \n",
            b"10 pathxx\n",
            b"5 =x\n",
            b"99999999999999999999 a=b\n",
            b"-1 a=b\n",
            b"\0\0",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_are_whole_seconds_since_1970() {
        for (text, expected) in
            [("12", Some(12)), ("12.999", Some(12)), ("-3.5", Some(0)), ("", None), ("1e3", None), ("1.x", None)]
        {
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
    }
}
