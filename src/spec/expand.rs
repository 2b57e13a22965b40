//! `{{NAME}}` in the texts of a definition, replaced by the value of the variable.
//!
//! Four braces are two literal ones; a single brace is itself. `{{@root}}` is
//! the directory in which an environment will lie: it may stand in
//! `provides.vars` only and stays until someone enters the environment.

use serde_json::{Map, Value};

use super::config::{Config, check_declared};
use super::error::SpecError;
use super::json::{canonical, type_of};
use super::object::Node;
use super::place::{Place, shown};

#[cfg(test)]
mod tests;

/// The name that stands for the directory of the environment.
pub(crate) const ROOT: &str = "@root";

/// A part of a text with variables.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text to be taken as it is.
    Text(String),
    /// The name of a variable.
    Variable(&'a str),
}

/// Returns the pieces of a text, or nothing when braces are opened and not closed.
pub(crate) fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find('{') {
        literal.push_str(&rest[..at]);
        let braces = rest[at..].bytes().take_while(|b| *b == b'{').count();
        rest = &rest[at + braces..];
        let (escaped, left) = (braces / 4 * 2, braces % 4);
        literal.extend(std::iter::repeat_n('{', escaped + left % 2));
        if left >= 2 {
            let (name, after) = rest.split_once("}}")?;
            pieces.extend([Piece::Text(std::mem::take(&mut literal)), Piece::Variable(name)]);
            rest = after;
        }
    }
    literal.push_str(rest);
    pieces.push(Piece::Text(literal));
    Some(pieces)
}

/// Returns a text of which [`pieces`] gives the literal back.
fn escaped(literal: &str) -> String {
    let mut text = String::new();
    for run in literal.as_bytes().chunk_by(|a, b| (*a == b'{') == (*b == b'{')) {
        match run {
            [b'{', ..] => text.extend(std::iter::repeat_n('{', run.len() / 2 * 4 + run.len() % 2)),
            _ => text.push_str(&String::from_utf8_lossy(run)),
        }
    }
    text
}

/// What is special where a value stands.
#[derive(Clone, Copy)]
enum Context {
    /// The definition itself.
    Definition,
    /// Its `provides`.
    Provides,
    /// The `vars` of that, where the root may stand.
    Vars,
    /// Anything else.
    Plain,
}

impl Context {
    fn of_member(self, key: &str) -> Self {
        match (self, key) {
            (Self::Definition, "provides") => Self::Provides,
            (Self::Provides, "vars") | (Self::Vars, _) => Self::Vars,
            _ => Self::Plain,
        }
    }
}

/// Replaces variables by what a configuration says, as far as they are declared.
pub(crate) struct Expander<'a> {
    pub(crate) config: &'a Config,
    pub(crate) flexible: &'a [String],
}

impl Expander<'_> {
    /// Returns the body of a definition with all its variables replaced.
    pub(crate) fn definition(&self, body: Node) -> Result<Node, SpecError> {
        let Node { place, value } = body;
        let value = self.value(&place, value, Context::Definition)?;
        Ok(Node { place, value })
    }

    fn value(&self, place: &Place, value: Value, context: Context) -> Result<Value, SpecError> {
        match value {
            Value::String(text) => self.text(place, &text, context).map(Value::String),
            Value::Array(list) => {
                let elements = list.into_iter().enumerate();
                elements.map(|(i, value)| self.value(&place.index(i), value, context)).collect()
            }
            Value::Object(object) => self.object(place, object, context),
            other => Ok(other),
        }
    }

    fn object(&self, place: &Place, object: Map<String, Value>, context: Context) -> Result<Value, SpecError> {
        let mut expanded = Map::new();
        for (key, value) in object {
            let here = place.key(&key);
            let value = self.value(&here, value, context.of_member(&key))?;
            let key = self.text(&here, &key, Context::Plain)?;
            if expanded.contains_key(&key) {
                let expected = "another key becomes the same when variables are replaced";
                return Err(SpecError::Invalid { place: here, value: shown(&key), expected });
            }
            expanded.insert(key, value);
        }
        Ok(Value::Object(expanded))
    }

    fn text(&self, place: &Place, text: &str, context: Context) -> Result<String, SpecError> {
        let unclosed = || SpecError::Invalid {
            place: place.clone(),
            value: shown(text),
            expected: "`{{` without `}}`; two literal braces are written as four",
        };
        let keeps_root = matches!(context, Context::Vars);
        let (mut whole, mut literal) = (String::new(), String::new());
        for piece in pieces(text).ok_or_else(unclosed)? {
            match piece {
                Piece::Text(text) => literal.push_str(&text),
                Piece::Variable(ROOT) if keeps_root => {
                    whole.push_str(&escaped(&std::mem::take(&mut literal)));
                    whole.push_str("{{@root}}");
                }
                Piece::Variable(name) => literal.push_str(&self.variable(place, name)?),
            }
        }
        Ok(if keeps_root { whole + &escaped(&literal) } else { literal })
    }

    fn variable(&self, place: &Place, name: &str) -> Result<String, SpecError> {
        if name == ROOT {
            let expected = "the directory of the environment is known only in the `vars` of `provides`";
            return Err(SpecError::Invalid { place: place.clone(), value: "{{@root}}".into(), expected });
        }
        check_declared(place, name, self.flexible)?;
        match self.config.value(name) {
            Value::String(text) => Ok(text.clone()),
            Value::Bool(value) => Ok(value.to_string()),
            Value::Number(number) => Ok(String::from_utf8_lossy(&canonical(number)).into_owned()),
            Value::Null => Err(SpecError::UnsetVariable { place: place.clone(), name: name.to_owned() }),
            other @ (Value::Array(_) | Value::Object(_)) => {
                Err(SpecError::NotText { place: place.clone(), name: name.to_owned(), found: type_of(other) })
            }
        }
    }
}
