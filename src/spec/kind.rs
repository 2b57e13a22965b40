//! The kinds of environments and their fields, after variables were replaced.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::error::SpecError;
use super::form::value::{command, variables};
use super::form::{self, Field, optional, required};
use super::object::{Node, Object};
use super::source::Source;

mod checkpoint;
mod image;
mod nix;
mod settings;
#[cfg(test)]
mod tests;
mod tree;

pub use checkpoint::{CheckpointFields, Ready, Service, Stop, StopBy};
pub use image::{Base, ImageFields, Layer};
pub use nix::{NixFields, NixMode};
pub use settings::ImageSettings;
pub use tree::TreeFields;

/// The name of a kind of environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KindName {
    /// A directory.
    Tree,
    /// A closure of store paths.
    Nix,
    /// A container image.
    Image,
    /// A warm service.
    Checkpoint,
}

impl KindName {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Tree, Self::Nix, Self::Image, Self::Checkpoint];

    /// Returns the name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Nix => "nix",
            Self::Image => "image",
            Self::Checkpoint => "checkpoint",
        }
    }

    /// Returns the fields of the kind.
    pub(crate) fn fields(self) -> &'static [Field] {
        match self {
            Self::Tree => tree::FIELDS,
            Self::Nix => nix::FIELDS,
            Self::Image => image::FIELDS,
            Self::Checkpoint => checkpoint::FIELDS,
        }
    }

    /// Returns the schema of a definition of the kind, which has these fields too.
    pub(crate) fn form(self, generator: &mut SchemaGenerator, common: &[Field]) -> Schema {
        let about = match self {
            Self::Tree => "A directory, put together from others or made by a command.",
            Self::Nix => "What a Nix expression evaluates to, as a closure.",
            Self::Image => "A container image.",
            Self::Checkpoint => "A warm service, from which copies start.",
        };
        let schema = form::variant(generator, self.as_str(), about, &[common, self.fields()]);
        if self == Self::Tree { tree::complete(schema) } else { schema }
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an environment is made from, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Tree(TreeFields),
    /// A closure of store paths.
    Nix(NixFields),
    /// A container image.
    Image(ImageFields),
    /// A warm service.
    Checkpoint(CheckpointFields),
}

impl Kind {
    /// Returns the name of the kind.
    pub fn name(&self) -> KindName {
        match self {
            Self::Tree(_) => KindName::Tree,
            Self::Nix(_) => KindName::Nix,
            Self::Image(_) => KindName::Image,
            Self::Checkpoint(_) => KindName::Checkpoint,
        }
    }

    /// Returns every source that the environment is made from.
    pub fn sources(&self) -> Vec<&Source> {
        match self {
            Self::Tree(fields) => fields.inputs.values().collect(),
            Self::Nix(fields) => std::iter::once(&fields.expression).chain(fields.inputs.values()).collect(),
            Self::Image(fields) => {
                let base = fields.base.iter().filter_map(Base::source);
                base.chain(fields.layers.iter().map(|layer| &layer.from)).collect()
            }
            Self::Checkpoint(fields) => vec![&fields.image],
        }
    }

    pub(crate) fn read(name: KindName, object: &mut Object) -> Result<Self, SpecError> {
        Ok(match name {
            KindName::Tree => Self::Tree(TreeFields::read(object)?),
            KindName::Nix => Self::Nix(NixFields::read(object)?),
            KindName::Image => Self::Image(ImageFields::read(object)?),
            KindName::Checkpoint => Self::Checkpoint(CheckpointFields::read(object)?),
        })
    }
}

/// A command and the variables that it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program and its arguments.
    pub cmd: Vec<String>,
    /// The environment variables.
    pub env: BTreeMap<String, String>,
}

const COMMAND: &[Field] = &[
    required("cmd", "The program and its arguments.", command),
    optional("env", "The environment variables.", variables),
];

impl Command {
    /// Returns the schema of what [`Command::read`] reads.
    fn form(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [command(generator), form::object(generator, &[COMMAND])]})
    }

    /// Returns the command that a list of strings, or an object with `cmd` and `env`, states.
    fn read(node: Node) -> Result<Self, SpecError> {
        if !node.value.is_object() {
            return Ok(Self { cmd: node.command()?, env: BTreeMap::new() });
        }
        let mut object = node.object(&[COMMAND])?;
        Ok(Self { cmd: object.required("cmd", Node::command)?, env: object.or_default("env", Node::variables)? })
    }
}
