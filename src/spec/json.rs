//! JSON, read strictly: what reads differently in two programs is refused.

use std::cell::RefCell;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::error::SpecError;
use super::place::shown;

/// Returns the value that a file states; an object with the same key twice is refused.
///
/// # Errors
/// [`SpecError::Syntax`] or [`SpecError::DuplicateKey`], with line and column.
pub fn parse(file: &str, text: &[u8]) -> Result<Value, SpecError> {
    let duplicate = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let parsed = Strict { duplicate: &duplicate }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|source| {
        let (file, line, column) = (file.to_owned(), source.line(), source.column());
        match duplicate.take() {
            Some(key) => SpecError::DuplicateKey { file, line, column, key },
            None => SpecError::Syntax { file, line, column, source },
        }
    })
}

/// Returns the one form of a document from which its digest is computed (RFC 8785).
pub(crate) fn canonical(document: &impl Serialize) -> Vec<u8> {
    serde_jcs::to_vec(document).expect("a document has text keys and finite numbers, which always serialise")
}

/// Returns the name of a value's type, with its article.
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Builds a value and notes the first key that stands twice in one object.
#[derive(Clone, Copy)]
struct Strict<'a> {
    duplicate: &'a RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                self.duplicate.replace(Some(shown(&key)));
                return Err(A::Error::custom("the same key twice in one object"));
            }
            let value = members.next_value_seed(self)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_is_told_with_its_place() {
        let error = parse("spec.json", b"{\n \"a\": }").unwrap_err();
        assert!(matches!(error, SpecError::Syntax { line: 2, .. }), "{error:?}");
        assert!(error.to_string().starts_with("spec.json:2:"), "{error}");
        assert!(matches!(parse("f", b"{} {}"), Err(SpecError::Syntax { .. })));
        assert!(matches!(parse("f", b"\"\xff\""), Err(SpecError::Syntax { .. })));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        let error = parse("spec.json", b"{\"a\": [\n{\"b\": 1, \"b\": 1}]}").unwrap_err();
        assert!(matches!(&error, SpecError::DuplicateKey { line: 2, key, .. } if key == "b"), "{error:?}");
        assert!(error.to_string().contains("spec.json:2:") && error.to_string().contains("`b`"), "{error}");
    }

    #[test]
    fn bottomless_nesting_is_refused() {
        let text = "[".repeat(1 << 20);
        assert!(matches!(parse("f", text.as_bytes()), Err(SpecError::Syntax { .. })));
    }

    #[test]
    fn the_canonical_form_orders_keys_as_utf_16_does() {
        let value = parse("f", "{\"\u{fb33}\": 1.0, \"\u{1f600}\": 1e30, \"a\": \"\\u0007/\"}".as_bytes()).unwrap();
        let expected = "{\"a\":\"\\u0007/\",\"\u{1f600}\":1e+30,\"\u{fb33}\":1}";
        assert_eq!(String::from_utf8(canonical(&value)).unwrap(), expected);
    }
}
