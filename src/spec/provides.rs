//! What an environment gives to those who enter it.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::error::SpecError;
use super::expand::{Piece, ROOT, pieces};
use super::form::value::variables;
use super::form::{self, Field, optional, template};
use super::object::{Node, is_variable_name};
use super::path::RelativePath;
use super::place::shown;

/// Directories and variables that an environment gives to those who enter it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provides {
    /// Directories of the environment that go to the front of `PATH`.
    pub path: Vec<RelativePath>,
    /// Variables; `{{@root}}` in them stands for the directory of the environment.
    #[serde(deserialize_with = "checked_vars")]
    pub vars: BTreeMap<String, String>,
}

const FIELDS: &[Field] = &[
    optional("path", "Directories of the environment that go to the front of `PATH`.", template::paths),
    optional("vars", "Variables; `{{@root}}` is the directory of the environment.", variables),
];

impl Provides {
    /// Returns the schema of what [`Provides::read`] reads.
    pub(crate) fn form(generator: &mut SchemaGenerator) -> Schema {
        form::object(generator, &[FIELDS])
    }

    /// Returns the variables for an environment that lies in the directory `root`.
    pub fn vars_at(&self, root: &str) -> BTreeMap<String, String> {
        self.vars.iter().map(|(name, text)| (name.clone(), at(text, root))).collect()
    }

    pub(crate) fn read(node: Node) -> Result<Self, SpecError> {
        let mut object = node.object(&[FIELDS])?;
        Ok(Self {
            path: object.or_default("path", |node| node.list(Node::path))?,
            vars: object.or_default("vars", Node::variables)?,
        })
    }
}

fn at(text: &str, root: &str) -> String {
    let Some(pieces) = pieces(text) else { return text.to_owned() };
    let texts = pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Variable(ROOT) => root.to_owned(),
        Piece::Variable(name) => format!("{{{{{name}}}}}"),
    });
    texts.collect()
}

/// Variables that a process can be given and in which nothing but the root is left to be replaced.
fn checked_vars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let vars = BTreeMap::<String, String>::deserialize(deserializer)?;
    match vars.iter().find(|(name, text)| !is_variable_name(name) || !is_complete(text)) {
        Some((name, _)) => Err(D::Error::custom(format_args!("the variable `{}` is not fit for use", shown(name)))),
        None => Ok(vars),
    }
}

fn is_complete(text: &str) -> bool {
    let complete = |piece: &Piece<'_>| matches!(piece, Piece::Text(_) | Piece::Variable(ROOT));
    !text.contains('\0') && pieces(text).is_some_and(|pieces| pieces.iter().all(complete))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_put_where_the_root_stands() {
        let vars = BTreeMap::from([("A".into(), "{{@root}}/a:{{@root}}".into()), ("B".into(), "{{{{@root}}".into())]);
        let provides = Provides { path: vec![], vars };
        let expected = BTreeMap::from([("A".into(), "/e/{{x}}/a:/e/{{x}}".into()), ("B".into(), "{{@root}}".into())]);
        assert_eq!(provides.vars_at("/e/{{x}}"), expected);
    }

    #[test]
    fn variables_from_elsewhere_hold_nothing_but_the_root() {
        let read =
            |text: &str| serde_json::from_value::<Provides>(serde_json::json!({"path": ["bin"], "vars": {"A": text}}));
        assert!(read("{{@root}}/{{{{x}}").is_ok());
        assert!(read("{{x}}").is_err() && read("{{").is_err());
    }
}
