//! The fields of a `tree`.

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator};
use serde_json::json;

use crate::spec::error::SpecError;
use crate::spec::form::value::{command, list, of, seconds, variables};
use crate::spec::form::{Field, optional, template, with};
use crate::spec::object::{Node, Object};
use crate::spec::path::{RelativePath, overlap};
use crate::spec::place::{Place, shown};
use crate::spec::source::Source;

pub(super) const FIELDS: &[Field] = &[
    optional("inputs", "What lies where: paths and sources; `\"\"` alone is the whole.", |generator| {
        template::by_path(of::<Source>(generator))
    }),
    optional("cmd", "Run in the inputs; without it the inputs are the environment.", command),
    optional("env", "The variables of the command, and nothing else.", variables),
    optional("outs", "What of the command's result is the environment: files or directories.", outs_form),
    optional("timeout", "How many seconds the command may take.", seconds),
];

/// Adds what one field says about others.
pub(super) fn complete(schema: Schema) -> Schema {
    let of_command = json!({"cmd": ["outs"], "outs": ["cmd"], "env": ["cmd"], "timeout": ["cmd"]});
    with(schema, json!({"dependentRequired": of_command, "anyOf": [{"required": ["cmd"]}, {"required": ["inputs"]}]}))
}

fn outs_form(generator: &mut SchemaGenerator) -> Schema {
    with(list(template::inner(generator)), json!({"minItems": 1}))
}

/// The fields of a `tree`: a directory put together from others, or made by a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFields {
    /// What lies where: in the directory itself, or in that of the command if there is one.
    pub inputs: BTreeMap<RelativePath, Source>,
    /// The command, if there is one.
    pub cmd: Option<Vec<String>>,
    /// The environment variables of the command.
    pub env: BTreeMap<String, String>,
    /// What the command makes; without a command, nothing.
    pub outs: Vec<RelativePath>,
    /// How many seconds the command may take.
    pub timeout: Option<u64>,
}

impl TreeFields {
    pub(super) fn read(object: &mut Object) -> Result<Self, SpecError> {
        let Some(cmd) = object.optional("cmd", Node::command)? else { return Self::read_without_command(object) };
        Ok(Self {
            inputs: object.or_default("inputs", inputs)?,
            cmd: Some(cmd),
            env: object.or_default("env", Node::variables)?,
            outs: object.required("outs", outs)?,
            timeout: object.optional("timeout", Node::seconds)?,
        })
    }

    fn read_without_command(object: &mut Object) -> Result<Self, SpecError> {
        if let Some(node) = ["outs", "env", "timeout"].into_iter().find_map(|key| object.take(key)) {
            return Err(node.invalid("it has a meaning only beside `cmd`"));
        }
        let inputs = object.required("inputs", inputs)?;
        Ok(Self { inputs, cmd: None, env: BTreeMap::new(), outs: Vec::new(), timeout: None })
    }
}

fn inputs(node: Node) -> Result<BTreeMap<RelativePath, Source>, SpecError> {
    let place = node.place.clone();
    let read = |(key, node): (String, Node)| {
        let path = Node::new(node.place.clone(), key.into()).path()?;
        Ok((path, Source::read(node)?))
    };
    let inputs: Vec<_> = node.members()?.into_iter().map(read).collect::<Result<_, SpecError>>()?;
    check_apart(&place, inputs.iter().map(|(path, _)| path))?;
    Ok(inputs.into_iter().collect())
}

fn outs(node: Node) -> Result<Vec<RelativePath>, SpecError> {
    let wrong = node.invalid("paths that the command makes are expected, one at least");
    let place = node.place.clone();
    let outs = node.list(Node::path)?;
    if outs.is_empty() || outs.iter().any(RelativePath::is_root) {
        return Err(wrong);
    }
    check_apart(&place, &outs)?;
    Ok(outs)
}

fn check_apart<'a>(place: &Place, paths: impl IntoIterator<Item = &'a RelativePath>) -> Result<(), SpecError> {
    let name = |path: &RelativePath| if path.is_root() { ".".to_owned() } else { shown(path.as_str()) };
    match overlap(paths.into_iter().collect()) {
        Some((outer, inner)) => {
            Err(SpecError::Overlap { place: place.clone(), outer: name(outer), inner: name(inner) })
        }
        None => Ok(()),
    }
}
