//! Typed access to a JSON value that knows where it stands.
//!
//! Every parser of this floor reads through [`Node`] and [`Object`], so every
//! refusal names its file, its place and what was expected there.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::error::SpecError;
use super::form::Field;
use super::git_id::GitId;
use super::json::type_of;
use super::nearest::nearest;
use super::path::RelativePath;
use super::place::{Place, shown};

#[cfg(test)]
mod tests;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

impl Node {
    pub(crate) fn new(place: Place, value: Value) -> Self {
        Self { place, value }
    }

    /// Returns the error that this value cannot stand here.
    pub(crate) fn invalid(&self, expected: &'static str) -> SpecError {
        let value = self.value.as_str().map_or_else(|| shown(&self.value.to_string()), shown);
        SpecError::Invalid { place: self.place.clone(), value, expected }
    }

    fn wrong_type(&self, expected: &'static str) -> SpecError {
        SpecError::WrongType { place: self.place.clone(), expected, found: type_of(&self.value) }
    }

    /// Returns a string as it stands.
    pub(crate) fn string(self) -> Result<String, SpecError> {
        match self.value {
            Value::String(text) => Ok(text),
            _ => Err(self.wrong_type("a string")),
        }
    }

    /// Returns a string that is not empty and that a file name or argument can hold.
    pub(crate) fn text(self) -> Result<String, SpecError> {
        match &self.value {
            Value::String(text) if text.is_empty() => Err(self.invalid("a text that is not empty is expected")),
            Value::String(_) => self.argument(),
            _ => Err(self.wrong_type("a string")),
        }
    }

    /// Returns a string that an argument or environment variable can hold.
    pub(crate) fn argument(self) -> Result<String, SpecError> {
        match self.value {
            Value::String(ref text) if text.contains('\0') => Err(self.invalid("a text without NUL is expected")),
            _ => self.string(),
        }
    }

    pub(crate) fn boolean(self) -> Result<bool, SpecError> {
        self.value.as_bool().ok_or_else(|| self.wrong_type("a boolean"))
    }

    pub(crate) fn number(self) -> Result<Number, SpecError> {
        match self.value {
            Value::Number(number) => Ok(number),
            _ => Err(self.wrong_type("a number")),
        }
    }

    /// Returns a positive whole number of seconds.
    pub(crate) fn seconds(self) -> Result<u64, SpecError> {
        let wrong = self.invalid("a whole number of seconds, one at least, is expected");
        self.number()?.as_u64().filter(|seconds| (1..=u64::from(u32::MAX)).contains(seconds)).ok_or(wrong)
    }

    pub(crate) fn git_id(self) -> Result<GitId, SpecError> {
        let place = self.place.clone();
        let text = self.string()?;
        GitId::parse(&text).map_err(|error| SpecError::Invalid {
            place,
            value: error.text,
            expected: "a Git object id of 40 lower-case hexadecimal digits is expected",
        })
    }

    pub(crate) fn path(self) -> Result<RelativePath, SpecError> {
        let place = self.place.clone();
        let text = self.string()?;
        RelativePath::parse(&text).map_err(|error| SpecError::Invalid {
            place,
            value: error.text,
            expected: "a relative path without empty, `.` or `..` components is expected",
        })
    }

    /// Returns the module and name of an environment.
    pub(crate) fn target(self) -> Result<(RelativePath, String), SpecError> {
        let wrong = self.invalid("`[MODULE, NAME]` is expected");
        let [module, name] = <[Node; 2]>::try_from(self.nodes()?).map_err(|_| wrong)?;
        Ok((module.path()?, name.text()?))
    }

    /// Returns the elements of a list.
    pub(crate) fn nodes(self) -> Result<Vec<Node>, SpecError> {
        match self.value {
            Value::Array(list) => {
                Ok(list.into_iter().enumerate().map(|(i, value)| Node::new(self.place.index(i), value)).collect())
            }
            _ => Err(self.wrong_type("a list")),
        }
    }

    /// Returns a list of which each element is read alike.
    pub(crate) fn list<T>(self, read: impl Fn(Node) -> Result<T, SpecError>) -> Result<Vec<T>, SpecError> {
        self.nodes()?.into_iter().map(read).collect()
    }

    /// Returns a list of strings that are not empty.
    pub(crate) fn texts(self) -> Result<Vec<String>, SpecError> {
        self.list(Node::text)
    }

    /// Returns an argument vector: a program and its arguments.
    pub(crate) fn command(self) -> Result<Vec<String>, SpecError> {
        match &self.value {
            Value::Array(list) if list.first().is_none_or(|program| program.as_str() == Some("")) => {
                Err(self.invalid("a program and its arguments are expected"))
            }
            _ => self.list(Node::argument),
        }
    }

    /// Returns the members of an object whose keys are free.
    pub(crate) fn members(self) -> Result<Vec<(String, Node)>, SpecError> {
        let Value::Object(object) = self.value else { return Err(self.wrong_type("an object")) };
        Ok(object
            .into_iter()
            .map(|(key, value)| {
                let node = Node::new(self.place.key(&key), value);
                (key, node)
            })
            .collect())
    }

    /// Returns an object with free keys of which each member is read alike.
    pub(crate) fn map<T>(self, read: impl Fn(Node) -> Result<T, SpecError>) -> Result<BTreeMap<String, T>, SpecError> {
        self.members()?.into_iter().map(|(key, node)| Ok((key, read(node)?))).collect()
    }

    /// Returns an object from names that are not empty to names that are not empty.
    pub(crate) fn names(self) -> Result<BTreeMap<String, String>, SpecError> {
        let place = self.place.clone();
        let names = self.map(Node::text)?;
        check_keys(&place, &names, "a name that is not empty is expected", |name| {
            !name.is_empty() && !name.contains('\0')
        })?;
        Ok(names)
    }

    /// Returns environment variables and their values.
    pub(crate) fn variables(self) -> Result<BTreeMap<String, String>, SpecError> {
        let place = self.place.clone();
        let variables = self.map(Node::argument)?;
        check_keys(&place, &variables, "a name without `=` is expected", is_variable_name)?;
        Ok(variables)
    }

    /// Returns the `type` that an object states, and where.
    pub(crate) fn kind(&self) -> Result<(Place, String), SpecError> {
        let Value::Object(fields) = &self.value else { return Err(self.wrong_type("an object")) };
        let place = self.place.key("type");
        match fields.get("type") {
            Some(kind) => Ok((place.clone(), Node::new(place, kind.clone()).string()?)),
            None => Err(SpecError::MissingKey { place: self.place.clone(), key: "type" }),
        }
    }

    /// Opens an object that has none but the fields of these tables and those that begin with `x-`.
    pub(crate) fn object(self, tables: &[&[Field]]) -> Result<Object, SpecError> {
        let known: Vec<&str> = tables.iter().copied().flatten().map(|field| field.name).collect();
        self.object_with(&known)
    }

    /// Opens an object that has none but the known keys and those that begin with `x-`.
    pub(crate) fn object_with(self, known: &[&str]) -> Result<Object, SpecError> {
        let Value::Object(fields) = self.value else { return Err(self.wrong_type("an object")) };
        let unknown = fields.keys().find(|key| !known.contains(&key.as_str()) && !key.starts_with("x-"));
        if let Some(key) = unknown {
            let nearest = nearest(key, known.iter().copied());
            return Err(SpecError::UnknownKey { place: self.place, key: shown(key), nearest });
        }
        Ok(Object { place: self.place, fields })
    }
}

/// Says whether a variable of the environment can have this name.
pub(crate) fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

fn check_keys<T>(
    place: &Place,
    map: &BTreeMap<String, T>,
    expected: &'static str,
    valid: impl Fn(&str) -> bool,
) -> Result<(), SpecError> {
    match map.keys().find(|key| !valid(key)) {
        Some(key) => Err(SpecError::Invalid { place: place.clone(), value: shown(key), expected }),
        None => Ok(()),
    }
}

/// An object whose keys are all known.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) place: Place,
    fields: Map<String, Value>,
}

impl Object {
    /// Takes a field, if it is there.
    pub(crate) fn take(&mut self, key: &str) -> Option<Node> {
        self.fields.remove(key).map(|value| Node::new(self.place.key(key), value))
    }

    /// Returns what was not taken, without the keys that begin with `x-`.
    pub(crate) fn into_rest(mut self) -> Node {
        self.fields.retain(|key, _| !key.starts_with("x-"));
        Node::new(self.place, Value::Object(self.fields))
    }

    /// Takes and reads a field, if it is there.
    pub(crate) fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(Node) -> Result<T, SpecError>,
    ) -> Result<Option<T>, SpecError> {
        self.take(key).map(read).transpose()
    }

    /// Takes and reads a field whose absence means the default.
    pub(crate) fn or_default<T: Default>(
        &mut self,
        key: &str,
        read: impl FnOnce(Node) -> Result<T, SpecError>,
    ) -> Result<T, SpecError> {
        Ok(self.optional(key, read)?.unwrap_or_default())
    }

    /// Takes and reads a field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Node) -> Result<T, SpecError>,
    ) -> Result<T, SpecError> {
        match self.take(key) {
            Some(node) => read(node),
            None => Err(SpecError::MissingKey { place: self.place.clone(), key }),
        }
    }
}
