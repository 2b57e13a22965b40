//! The fields of a `nix` environment.

use std::collections::BTreeMap;

use crate::spec::error::SpecError;
use crate::spec::form::value::{named, of, text, texts, variables};
use crate::spec::form::{Field, optional, required, template};
use crate::spec::object::{Node, Object};
use crate::spec::path::RelativePath;
use crate::spec::source::Source;

pub(super) const FIELDS: &[Field] = &[
    required("expression", "The tree with the expression.", of::<Source>),
    optional("file", "The file in that tree; without it, its default file.", template::path),
    optional("attr", "The attribute path that is built; without it, the expression itself.", text),
    optional("args", "String arguments of the expression.", variables),
    optional("inputs", "Trees that the expression finds by name.", named::<Source>),
    optional("outputs", "The outputs wanted; without it, the default ones.", texts),
    optional("mode", "Whether the derivation is built, or the shell in which it would be.", |_| {
        template::one_of(&MODES)
    }),
];

const MODES: [&str; 2] = ["build", "shell"];

/// The fields of a `nix` environment: what an expression evaluates to, built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NixFields {
    /// The tree with the expression.
    pub expression: Source,
    /// The file in it; none is the default file.
    pub file: Option<RelativePath>,
    /// The attribute path that is built; none is the expression itself.
    pub attr: Option<String>,
    /// String arguments of the expression.
    pub args: BTreeMap<String, String>,
    /// Trees that the expression finds by name.
    pub inputs: BTreeMap<String, Source>,
    /// The outputs wanted; none is the default ones.
    pub outputs: Vec<String>,
    /// What is made of the derivation.
    pub mode: NixMode,
}

/// What is made of a derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NixMode {
    /// Its outputs.
    #[default]
    Build,
    /// The environment in which it would be built.
    Shell,
}

impl NixFields {
    pub(super) fn read(object: &mut Object) -> Result<Self, SpecError> {
        Ok(Self {
            expression: object.required("expression", Source::read)?,
            file: object.optional("file", Node::path)?,
            attr: object.optional("attr", Node::text)?,
            args: object.or_default("args", Node::variables)?,
            inputs: object.or_default("inputs", inputs)?,
            outputs: object.or_default("outputs", Node::texts)?,
            mode: object.or_default("mode", mode)?,
        })
    }
}

fn inputs(node: Node) -> Result<BTreeMap<String, Source>, SpecError> {
    let read = |(name, node): (String, Node)| {
        let name = Node::new(node.place.clone(), name.into()).text()?;
        Ok((name, Source::read(node)?))
    };
    node.members()?.into_iter().map(read).collect()
}

fn mode(node: Node) -> Result<NixMode, SpecError> {
    let wrong = node.invalid("`build` or `shell` is expected");
    match node.string()?.as_str() {
        "build" => Ok(NixMode::Build),
        "shell" => Ok(NixMode::Shell),
        _ => Err(wrong),
    }
}
