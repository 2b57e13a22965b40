//! The environments file: from names to definitions.
//!
//! A definition is read in two steps: what does not depend on a configuration
//! when the file is read, the rest by [`Definition::expand`]. So an unset
//! variable of one environment does not stand in the way of another.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::config::{Config, check_declared, check_variable};
use super::error::SpecError;
use super::expand::Expander;
use super::form::value::{VARIABLE, keyed, list, map, matching, of, string, strings};
use super::form::{self, Field, SCHEMA, described, optional, required};
use super::json;
use super::kind::{Kind, KindName};
use super::nearest::{nearest, nearest_few};
use super::object::{Node, Object};
use super::place::{Place, shown};
use super::provides::Provides;

#[cfg(test)]
mod tests;

const COMMON: &[Field] = &[
    required("type", "The kind of the environment.", string),
    optional("doc", "What `describe` shows, in lines.", strings),
    optional(
        "flexible_config",
        "The only variables that matter: the environment, and those it uses, see no other.",
        |_| list(matching(VARIABLE)),
    ),
    optional("config_doc", "What each variable is for, in lines.", |generator| keyed(VARIABLE, strings(generator))),
    optional("provides", "What entering it sets.", Provides::form),
];

/// How many names are offered in place of an unknown one.
const OFFERED: usize = 5;

/// The environments that one module of a repository defines.
#[derive(Debug, Clone)]
pub struct EnvironmentsFile {
    file: String,
    definitions: BTreeMap<String, Definition>,
}

/// The definition of an environment, with its variables not yet replaced.
#[derive(Debug, Clone)]
pub struct Definition {
    kind: KindName,
    doc: Vec<String>,
    flexible_config: Vec<String>,
    config_doc: BTreeMap<String, Vec<String>>,
    body: Node,
}

/// An environment: what it is made from, and what it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// What it gives to those who enter it.
    pub provides: Provides,
    /// What it is made from, and how.
    pub kind: Kind,
}

/// An environments file as it is written.
impl JsonSchema for EnvironmentsFile {
    fn schema_name() -> Cow<'static, str> {
        "Environments".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = described(string(generator), "Where the schema of this file is, for editors; it means nothing.");
        let members = form::with(map(of::<Definition>(generator)), json!({"properties": {SCHEMA: schema}}));
        described(members, "The environments of a module by their names.")
    }
}

/// A definition as it is written.
impl JsonSchema for Definition {
    fn schema_name() -> Cow<'static, str> {
        "Definition".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<Schema> = KindName::ALL.into_iter().map(|kind| kind.form(generator, COMMON)).collect();
        json_schema!({"description": "The definition of an environment.", "oneOf": kinds})
    }
}

impl EnvironmentsFile {
    /// Returns the environments that a file defines; `file` is for messages.
    ///
    /// # Errors
    /// When it is not JSON, or what does not depend on a configuration makes no sense.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, SpecError> {
        let mut definitions = BTreeMap::new();
        for (name, node) in Node::new(Place::new(file), json::parse(file, text)?).members()? {
            if name == SCHEMA {
                node.string()?;
            } else {
                definitions.insert(name, Definition::read(node)?);
            }
        }
        Ok(Self { file: file.to_owned(), definitions })
    }

    /// Returns the definition of an environment.
    ///
    /// # Errors
    /// [`SpecError::UnknownEnvironment`] with the names most like it.
    pub fn get(&self, name: &str) -> Result<&Definition, SpecError> {
        self.definitions.get(name).ok_or_else(|| SpecError::UnknownEnvironment {
            file: self.file.clone(),
            name: shown(name),
            nearest: nearest_few(name, self.names(), OFFERED).iter().map(|name| shown(name)).collect(),
        })
    }

    /// Returns the names of the environments, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }
}

impl Definition {
    /// Returns the name of the kind.
    pub fn kind_name(&self) -> KindName {
        self.kind
    }

    /// Returns what there is to say about the environment, in lines.
    pub fn doc(&self) -> &[String] {
        &self.doc
    }

    /// Returns the names of the variables that the environment sees.
    pub fn flexible_config(&self) -> &[String] {
        &self.flexible_config
    }

    /// Returns what there is to say about each variable, in lines.
    pub fn config_doc(&self) -> &BTreeMap<String, Vec<String>> {
        &self.config_doc
    }

    /// Returns the environment in a configuration, of which it sees its flexible variables.
    ///
    /// # Errors
    /// When a variable is not declared or has no value, or a field then makes no sense.
    pub fn expand(&self, config: &Config) -> Result<Environment, SpecError> {
        let expander = Expander { config, flexible: &self.flexible_config };
        let mut object = open(expander.definition(self.body.clone())?, self.kind)?;
        let provides = object.or_default("provides", Provides::read)?;
        Ok(Environment { provides, kind: Kind::read(self.kind, &mut object)? })
    }

    fn read(node: Node) -> Result<Self, SpecError> {
        let (place, name) = node.kind()?;
        let kind = KindName::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
            let nearest = nearest(&name, KindName::ALL.map(KindName::as_str));
            SpecError::UnknownType { place, name: shown(&name), nearest }
        })?;
        let mut object = open(node, kind)?;
        object.take("type");
        let doc = object.or_default("doc", lines)?;
        let flexible_config = object.or_default("flexible_config", variables)?;
        let documented = |node| documentation(node, &flexible_config);
        let config_doc = object.or_default("config_doc", documented)?;
        Ok(Self { kind, doc, flexible_config, config_doc, body: object.into_rest() })
    }
}

fn open(node: Node, kind: KindName) -> Result<Object, SpecError> {
    node.object(&[COMMON, kind.fields()])
}

fn lines(node: Node) -> Result<Vec<String>, SpecError> {
    node.list(Node::string)
}

fn variables(node: Node) -> Result<Vec<String>, SpecError> {
    node.list(|node| {
        let place = node.place.clone();
        let name = node.string()?;
        check_variable(&place, &name)?;
        Ok(name)
    })
}

fn documentation(node: Node, flexible: &[String]) -> Result<BTreeMap<String, Vec<String>>, SpecError> {
    let place = node.place.clone();
    let documentation = node.map(lines)?;
    documentation.keys().try_for_each(|name| check_declared(&place, name, flexible))?;
    Ok(documentation)
}
