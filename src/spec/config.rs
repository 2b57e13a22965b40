//! Configurations: variables and their values.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Number, Value};

use super::error::SpecError;
use super::json;
use super::nearest::nearest;
use super::object::Node;
use super::place::{Place, shown};

/// Variables and their values, which are any JSON.
///
/// Numbers are kept in the form in which they enter a key, and one that would
/// enter it changed is refused: two configurations that differ have two keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Config(BTreeMap<String, Value>);

impl Config {
    /// Returns the configuration that a JSON object states; `file` is for messages.
    ///
    /// # Errors
    /// When it is no object, a name is no variable name, or a number is not exact.
    pub fn from_value(file: &str, value: Value) -> Result<Self, SpecError> {
        Self::read(Node::new(Place::new(file), value))
    }

    pub(crate) fn read(node: Node) -> Result<Self, SpecError> {
        let place = node.place.clone();
        let variable = |(name, node): (String, Node)| {
            check_variable(&place, &name)?;
            Ok((name, exact(&node.place, node.value)?))
        };
        node.members()?.into_iter().map(variable).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the configuration that an argument sets: `NAME=TEXT` or `NAME:=JSON`.
    ///
    /// # Errors
    /// When it is neither, or the JSON is not well formed.
    pub fn assignment(argument: &str) -> Result<Self, SpecError> {
        const FILE: &str = "command line";
        let place = Place::new(FILE);
        let Some((name, text)) = argument.split_once('=') else {
            let expected = "`NAME=TEXT` or `NAME:=JSON` is expected";
            return Err(SpecError::Invalid { place, value: shown(argument), expected });
        };
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => (name, json::parse(FILE, text.as_bytes())?),
            None => (name, text.into()),
        };
        Self::from_value(FILE, Map::from_iter([(name.to_owned(), value)]).into())
    }

    /// Returns the value of a variable, null when it is unset.
    pub fn value(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    /// Returns the variables in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the part that an environment sees: its flexible variables, null where unset.
    #[must_use]
    pub fn restrict(&self, flexible: &[String]) -> Self {
        Self(flexible.iter().map(|name| (name.clone(), self.value(name).clone())).collect())
    }

    /// Returns this configuration with some variables set otherwise.
    #[must_use]
    pub fn with(&self, overrides: &Self) -> Self {
        let mut variables = self.0.clone();
        variables.extend(overrides.0.clone());
        Self(variables)
    }
}

/// Refuses what is not a variable name.
pub(crate) fn check_variable(place: &Place, name: &str) -> Result<(), SpecError> {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    if name.bytes().next().is_some_and(letter) && name.bytes().all(|b| letter(b) || b.is_ascii_digit()) {
        return Ok(());
    }
    let expected = "a variable name of letters, digits and `_` is expected";
    Err(SpecError::Invalid { place: place.clone(), value: shown(name), expected })
}

/// Refuses a variable that is not declared.
pub(crate) fn check_declared(place: &Place, name: &str, flexible: &[String]) -> Result<(), SpecError> {
    if flexible.iter().any(|declared| declared == name) {
        return Ok(());
    }
    let nearest = nearest(name, flexible.iter().map(String::as_str));
    Err(SpecError::UnknownVariable { place: place.clone(), name: shown(name), nearest })
}

/// Returns the value with every number in its canonical form.
fn exact(place: &Place, value: Value) -> Result<Value, SpecError> {
    Ok(match value {
        Value::Number(number) => exact_number(&number).ok_or_else(|| SpecError::Invalid {
            place: place.clone(),
            value: number.to_string(),
            expected: "a number that a double holds exactly is expected; write it as a string",
        })?,
        Value::Array(list) => {
            let elements = list.into_iter().enumerate().map(|(i, value)| exact(&place.index(i), value));
            Value::Array(elements.collect::<Result<_, _>>()?)
        }
        Value::Object(object) => {
            let members = object.into_iter().map(|(key, value)| {
                let value = exact(&place.key(&key), value)?;
                Ok::<_, SpecError>((key, value))
            });
            Value::Object(members.collect::<Result<_, _>>()?)
        }
        other => other,
    })
}

/// Returns the number as its canonical text reads, unless that is another number.
fn exact_number(number: &Number) -> Option<Value> {
    let text = json::canonical(number);
    let canonical: Number = serde_json::from_slice(&text).ok()?;
    let same =
        if number.is_f64() { canonical.as_f64() == number.as_f64() } else { number.to_string().as_bytes() == text };
    same.then_some(Value::Number(canonical))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(value: Value) -> Config {
        Config::from_value("spec.json", value).unwrap()
    }

    #[test]
    fn restricting_keeps_the_flexible_variables_and_sets_the_others_to_null() {
        let restricted = config(json!({"A": 1, "B": 2})).restrict(&["A".into(), "C".into()]);
        assert_eq!(restricted, config(json!({"A": 1, "C": null})));
    }

    #[test]
    fn overrides_win() {
        let with = config(json!({"A": 1, "B": 2})).with(&config(json!({"A": "x"})));
        assert_eq!(with, config(json!({"A": "x", "B": 2})));
    }

    #[test]
    fn an_argument_is_text_unless_it_is_written_as_json() {
        let cases = [("A=1", json!("1")), ("A=", json!("")), ("A:=1", json!(1)), ("A=b:=c", json!("b:=c"))];
        for (argument, value) in cases {
            assert_eq!(Config::assignment(argument).unwrap(), config(json!({"A": value})), "{argument}");
        }
        for bad in ["A", "=x", ":=1", "A-B=1", "1A=1", "A:={"] {
            assert!(Config::assignment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_has_one_form() {
        assert_eq!(config(json!({"A": 1.0, "B": -0.0})), config(json!({"A": 1, "B": 0})));
        assert!(
            config(json!({"A": [{"b": 1152921504606847000_u64}], "B": 0.1, "C": -9007199254740992_i64})).0.len() == 3
        );
    }

    #[test]
    fn a_number_that_would_enter_the_key_changed_is_refused() {
        let error = Config::from_value("spec.json", json!({"A": [9_007_199_254_740_993_u64]})).unwrap_err();
        assert!(matches!(error, SpecError::Invalid { .. }));
        assert!(error.to_string().contains("spec.json: A[0]: `9007199254740993`"), "{error}");
    }

    #[test]
    fn a_name_that_is_no_variable_is_refused() {
        let error = Config::from_value("spec.json", json!({"A-B": 1})).unwrap_err();
        assert!(matches!(&error, SpecError::Invalid { value, .. } if value == "A-B"), "{error}");
    }
}
