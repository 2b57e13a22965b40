//! Sources: what an environment is made from.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::error::SpecError;
use super::form::value::{text, tuple};
use super::form::{self, Field, described, optional, template};
use super::object::Node;
use super::path::RelativePath;

/// A file or directory in a root or in another environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it lies in.
    pub origin: Origin,
    /// The path inside that.
    pub path: RelativePath,
}

/// What a source lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The root of a repository.
    Root {
        /// What the repository is called here; none is the own one.
        binding: Option<String>,
    },
    /// What an environment evaluates to.
    Environment(EnvironmentRef),
}

/// Another environment, as named from one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRef {
    /// What its repository is called here; none is the own one.
    pub binding: Option<String>,
    /// The directory of its environments file; none is the own one.
    pub module: Option<RelativePath>,
    /// Its name in that file.
    pub name: String,
}

const FIELDS: &[Field] = &[
    optional("path", "The file or directory in it; without it, the whole.", template::path),
    optional("root", "It lies in the root of the repository that is bound to this name.", text),
    optional(
        "env",
        "It lies in another environment: `NAME` of this file, `[MODULE, NAME]` of this root, or \
         `[\"@\", BINDING, MODULE, NAME]` of a bound repository.",
        environment,
    ),
];

fn environment(generator: &mut SchemaGenerator) -> Schema {
    let (name, module) = (text(generator), template::path(generator));
    let bound = tuple(&[json_schema!({"const": "@"}), name.clone(), module.clone(), name.clone()]);
    json_schema!({"oneOf": [name.clone(), tuple(&[module, name]), bound]})
}

/// A source as it is written.
impl JsonSchema for Source {
    fn schema_name() -> Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = json!({
            "anyOf": [{"required": ["path"]}, {"required": ["root"]}, {"required": ["env"]}],
            "not": {"required": ["root", "env"]},
        });
        let schema = form::with(form::object(generator, &[FIELDS]), one);
        described(schema, "A file or directory: of the own root, of that of a bound repository, or of an environment.")
    }
}

impl Source {
    pub(crate) fn read(node: Node) -> Result<Self, SpecError> {
        let wrong = node.clone();
        let mut object = node.object(&[FIELDS])?;
        let path = object.optional("path", Node::path)?;
        let root = object.optional("root", Node::text)?;
        let origin = match (root, object.optional("env", EnvironmentRef::read)?) {
            (None, None) if path.is_none() => return Err(wrong.invalid("one of `path`, `root` or `env` is expected")),
            (binding, None) => Origin::Root { binding },
            (None, Some(environment)) => Origin::Environment(environment),
            (Some(_), Some(_)) => return Err(wrong.invalid("either `root` or `env` is expected")),
        };
        Ok(Self { origin, path: path.unwrap_or_default() })
    }
}

impl EnvironmentRef {
    fn read(node: Node) -> Result<Self, SpecError> {
        if node.value.is_string() {
            return Ok(Self { binding: None, module: None, name: node.text()? });
        }
        let wrong = node.invalid("`NAME`, `[MODULE, NAME]` or `[\"@\", BINDING, MODULE, NAME]` is expected");
        let mut parts = node.nodes()?.into_iter();
        match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(module), Some(name), None, ..) => {
                Ok(Self { binding: None, module: Some(module.path()?), name: name.text()? })
            }
            (Some(at), Some(binding), Some(module), Some(name), None) if at.value == "@" => {
                Ok(Self { binding: Some(binding.text()?), module: Some(module.path()?), name: name.text()? })
            }
            _ => Err(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::spec::place::Place;

    fn read(value: Value) -> Result<Source, SpecError> {
        Source::read(Node::new(Place::new("ENVS").key("e"), value))
    }

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text).unwrap()
    }

    #[test]
    fn every_form_is_read() {
        let root = |binding: Option<&str>| Origin::Root { binding: binding.map(str::to_owned) };
        let environment = |binding: Option<&str>, module: Option<&str>| {
            let (binding, module) = (binding.map(str::to_owned), module.map(path));
            Origin::Environment(EnvironmentRef { binding, module, name: "n".into() })
        };
        let cases = [
            (json!({"path": "a/b"}), root(None), "a/b"),
            (json!({"path": ""}), root(None), ""),
            (json!({"root": "r"}), root(Some("r")), ""),
            (json!({"root": "r", "path": "a"}), root(Some("r")), "a"),
            (json!({"env": "n"}), environment(None, None), ""),
            (json!({"env": ["m", "n"], "path": "bin"}), environment(None, Some("m")), "bin"),
            (json!({"env": ["@", "n"]}), environment(None, Some("@")), ""),
            (json!({"env": ["@", "b", "m", "n"]}), environment(Some("b"), Some("m")), ""),
        ];
        for (value, origin, inside) in cases {
            assert_eq!(read(value).unwrap(), Source { origin, path: path(inside) });
        }
    }

    #[test]
    fn any_other_form_is_refused_with_its_place() {
        let cases = [
            (json!({}), "ENVS: e: "),
            (json!({"root": "r", "env": "n"}), "ENVS: e: "),
            (json!({"env": ["n"]}), "ENVS: e.env: "),
            (json!({"env": ["b", "b", "m", "n"]}), "ENVS: e.env: "),
            (json!({"env": ["@", "b", "m", "n", "x"]}), "ENVS: e.env: "),
            (json!({"env": ["../m", "n"]}), "ENVS: e.env[0]: `../m`"),
            (json!({"path": "/etc"}), "ENVS: e.path: `/etc`"),
        ];
        for (value, place) in cases {
            let error = read(value).unwrap_err();
            assert!(matches!(error, SpecError::Invalid { .. }) && error.to_string().starts_with(place), "{error}");
        }
        let error = read(json!({"rot": "r"})).unwrap_err().to_string();
        assert_eq!(error, "ENVS: e: unknown key `rot`; did you mean `root`?");
    }
}
