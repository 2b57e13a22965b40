//! Configurations that are products: `--matrix ARCH=x86_64,aarch64`.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde_json::Value;

use super::error::PrefillError;
use crate::spec::Config;

/// Most configurations, and most items of a prefill.
pub(super) const MAX_ITEMS: usize = 100_000;

/// A variable with the values that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axis {
    name: String,
    values: Vec<Config>,
}

/// A text that is no axis.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no variable with values: `VAR=TEXT,TEXT…` or `VAR:=[JSON, JSON…]` is expected")]
pub(super) struct NoAxis {
    text: String,
}

impl FromStr for Axis {
    type Err = NoAxis;

    fn from_str(text: &str) -> Result<Self, NoAxis> {
        let read = || {
            let whole = Config::assignment(text).ok()?;
            let (name, value) = whole.iter().next()?;
            let values: Vec<Value> = match value {
                // Only one that is written as JSON is a list.
                Value::Array(values) => values.clone(),
                Value::String(texts) if !text.starts_with(&format!("{name}:=")) => {
                    texts.split(',').map(Value::from).collect()
                }
                _ => return None,
            };
            let config = |value| Config::from_value("command line", serde_json::json!({ name: value })).ok();
            let values = values.into_iter().map(config).collect::<Option<Vec<_>>>()?;
            (!values.is_empty()).then(|| Self { name: name.to_owned(), values })
        };
        read().ok_or_else(|| NoAxis { text: text.to_owned() })
    }
}

/// Returns every configuration that comes of `set` and one value of each axis.
///
/// # Errors
/// When a variable is set twice, or there are too many.
pub(super) fn product(set: &Config, axes: &[Axis]) -> Result<Vec<Config>, PrefillError> {
    let mut names: BTreeSet<&str> = set.iter().map(|(name, _)| name).collect();
    let mut configs = vec![set.clone()];
    for axis in axes {
        if !names.insert(&axis.name) {
            return Err(PrefillError::Twice { name: axis.name.clone() });
        }
        if configs.len().saturating_mul(axis.values.len()) > MAX_ITEMS {
            return Err(PrefillError::TooMany { limit: MAX_ITEMS });
        }
        configs = configs.iter().flat_map(|config| axis.values.iter().map(|value| config.with(value))).collect();
    }
    Ok(configs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configs(axes: &[&str]) -> Vec<Value> {
        let axes: Vec<Axis> = axes.iter().map(|text| text.parse().unwrap()).collect();
        product(&Config::default(), &axes).unwrap().iter().map(|config| json!(config)).collect()
    }

    #[test]
    fn axes_are_multiplied_in_their_order() {
        assert_eq!(configs(&[]), [json!({})]);
        let expected = ["a", "b"].map(|a| [1, 2].map(|b| json!({"A": a, "B": b}))).concat();
        assert_eq!(configs(&["A=a,b", "B:=[1, 2]"]), expected);
        assert_eq!(configs(&["A:=[[1, 2], null]"]), [json!({"A": [1, 2]}), json!({"A": null})]);
        assert_eq!(configs(&["A="]), [json!({"A": ""})]);
    }

    #[test]
    fn what_is_no_axis_is_refused_with_the_form() {
        for bad in ["A", "A:=[]", "A:=1", "A:=\"x,y\"", "A:=[", "1=x", "A-B=x", ""] {
            let error = bad.parse::<Axis>().expect_err(bad).to_string();
            assert!(error.contains("VAR=TEXT,TEXT"), "{error}");
        }
    }

    #[test]
    fn a_variable_is_set_once_and_a_product_has_a_bound() {
        let axis = |text: &str| text.parse::<Axis>().unwrap();
        let set = Config::assignment("A=x").unwrap();
        assert!(matches!(product(&set, &[axis("A=a,b")]), Err(PrefillError::Twice { name }) if name == "A"));
        let many = ["A", "B", "C"].map(|name| axis(&format!("{name}={}", "x,".repeat(99))));
        assert!(matches!(product(&Config::default(), &many), Err(PrefillError::TooMany { .. })));
    }
}
