//! Structured attributes as a builder reads them: as JSON, and as what a shell can source.
//!
//! Both are written byte by byte as Nix writes them, which outputs may depend on.

use std::fmt::Write;
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Map, Number, Value};

/// Attributes by name, sorted.
pub(super) type Attributes = Map<String, Value>;

/// Digits beyond which a number is written with an exponent.
const MAX_PLAIN_DIGITS: i32 = 15;
/// Zeros behind the point from which on a number is written with an exponent.
const MAX_PLAIN_ZEROS: i32 = 4;

/// Returns the JSON, compact.
pub(super) fn json(attributes: &Attributes) -> String {
    let mut bytes = Vec::new();
    let written = attributes.serialize(&mut Serializer::with_formatter(&mut bytes, NixNumbers));
    written.expect("attributes have text as keys, and memory takes everything");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Writes numbers with a point as Nix does.
struct NixNumbers;

impl Formatter for NixNumbers {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(float(value).as_bytes())
    }
}

/// Returns the shortest digits that mean the number, with a point or an exponent.
fn float(value: f64) -> String {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').expect("this notation has an exponent");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = digits.replace('.', "");
    let exponent: i32 = exponent.parse().expect("it is a number");
    let point = exponent + 1;
    let (whole, zeros) = (usize::try_from(point).unwrap_or(0), usize::try_from(-point).unwrap_or(0));
    if point > 0 && point <= MAX_PLAIN_DIGITS {
        if digits.len() <= whole {
            return format!("{sign}{digits}{}.0", "0".repeat(whole - digits.len()));
        }
        return format!("{sign}{}.{}", &digits[..whole], &digits[whole..]);
    }
    if point <= 0 && point > -MAX_PLAIN_ZEROS {
        return format!("{sign}0.{}{digits}", "0".repeat(zeros));
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// Returns the declarations for bash; what bash cannot hold is left out.
pub(super) fn shell(attributes: &Attributes) -> String {
    let mut text = String::new();
    for (name, value) in attributes.iter().filter(|(name, _)| is_identifier(name)) {
        let declaration = match value {
            Value::Array(items) => array(items).map(|items| format!("-a {name}=({items})")),
            Value::Object(entries) => table(entries).map(|entries| format!("-A {name}=({entries})")),
            plain => scalar(plain).map(|value| format!("{name}={value}")),
        };
        if let Some(declaration) = declaration {
            writeln!(text, "declare {declaration}").expect("a string takes everything");
        }
    }
    text
}

fn array(items: &[Value]) -> Option<String> {
    items.iter().map(|item| Some(format!("{} ", scalar(item)?))).collect()
}

fn table(entries: &Attributes) -> Option<String> {
    entries.iter().map(|(name, value)| Some(format!("[{}]={} ", quote(name), scalar(value)?))).collect()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(quote(text)),
        Value::Number(number) => integer(number).map(|number| number.to_string()),
        Value::Null => Some("''".to_owned()),
        Value::Bool(value) => Some(if *value { "1" } else { "" }.to_owned()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns what is left of a whole number in the 32 bits that Nix gives it.
fn integer(number: &Number) -> Option<i32> {
    let low = |bytes: [u8; 8]| i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    if let Some(value) = number.as_i64() {
        return Some(low(value.to_le_bytes()));
    }
    if let Some(value) = number.as_u64() {
        return Some(low(value.to_le_bytes()));
    }
    let value = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "whether it is whole is asked of the shorter form")]
    let short = value as f32;
    if short.ceil() != short {
        return None;
    }
    let fits = value.trunc() >= f64::from(i32::MIN) && value.trunc() <= f64::from(i32::MAX);
    #[expect(clippy::cast_possible_truncation, reason = "it was compared with the limits")]
    let whole = if fits { value as i32 } else { i32::MIN };
    Some(whole)
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn is_identifier(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(letter) && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_the_form_that_nix_gives_them() {
        let numbers = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.001, "0.001"),
            (0.000_123, "0.000123"),
            (0.000_012_3, "1.23e-05"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (1e15, "1e+15"),
            (1.25e100, "1.25e+100"),
            (5e-324, "5e-324"),
        ];
        for (number, text) in numbers {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn whole_numbers_have_32_bits() {
        let numbers = [
            (json!(7), Some(7)),
            (json!(-7), Some(-7)),
            (json!(4_294_967_297_i64), Some(1)),
            (json!(u64::MAX), Some(-1)),
            (json!(2.0), Some(2)),
            (json!(2.5), None),
            (json!(16_777_217.5), Some(16_777_217)),
            (json!(1e300), Some(i32::MIN)),
        ];
        for (number, whole) in numbers {
            assert_eq!(integer(number.as_number().expect("a number")), whole, "{number}");
        }
    }

    #[test]
    fn a_shell_is_given_what_it_can_hold() {
        let attributes = json!({
            "text": "it's", "yes": true, "no": false, "nothing": null, "list": [1, "a b", null], "table": {"k'": 1},
            "nested": [[1]], "deep": {"a": {}}, "part": 1.5, "odd-name": 1, "1st": 1, "empty": [], "": 1,
        });
        let expected = "declare -a empty=()\ndeclare -a list=(1 'a b' '' )\ndeclare no=\ndeclare nothing=''\n\
            declare -A table=(['k'\\''']=1 )\ndeclare text='it'\\''s'\ndeclare yes=1\n";
        assert_eq!(shell(attributes.as_object().expect("an object")), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn every_number_is_read_as_it_was_written(value in any::<f64>()) {
            prop_assume!(value.is_finite());
            let text = float(value);
            prop_assert_eq!(text.parse::<f64>().expect("a number").to_bits(), value.to_bits());
            prop_assert_eq!(serde_json::from_str::<f64>(&text).expect("JSON").to_bits(), value.to_bits());
            let _ = integer(&Number::from_f64(value).expect("finite"));
        }

        #[test]
        fn every_attribute_is_read_as_it_was_written(name in ".{0,9}", text in ".{0,30}", number in any::<i64>()) {
            let attributes = json!({ &name: [&text, { "deep": number }], "flat": { &text: number } });
            let attributes = attributes.as_object().expect("an object");
            prop_assert_eq!(&serde_json::from_str::<Attributes>(&json(attributes)).expect("JSON"), attributes);
            prop_assert!(shell(attributes).contains("declare -A flat=(["));
        }
    }
}
