//! The field `config` of an `image`: what its configuration says, in the words of OCI.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{Schema, SchemaGenerator};

use crate::spec::error::SpecError;
use crate::spec::form::value::{argument, arguments, list, map, string, text};
use crate::spec::form::{Field, object, optional, template};
use crate::spec::object::Node;

const FIELDS: &[Field] = &[
    optional("Cmd", "The arguments that follow those of `Entrypoint`.", arguments),
    optional("Entrypoint", "The program and its first arguments.", arguments),
    optional("Env", "Variables, `NAME=VALUE`; they replace those of the same name.", |_| {
        list(template::becoming(r"^[^=\u0000]+=[^\u0000]*$"))
    }),
    optional("ExposedPorts", "The ports at which it serves, beside those of the base: `{\"5432/tcp\": {}}`.", set_form),
    optional("Labels", "Free texts; they replace those of the same name.", |generator| map(string(generator))),
    optional("StopSignal", "What asks it to end.", text),
    optional("User", "As whom programs start.", argument),
    optional("Volumes", "Directories that are no part of it, beside those of the base: `{\"/data\": {}}`.", set_form),
    optional("WorkingDir", "Where programs start.", |_| template::becoming(r"^/[^\u0000]*$")),
    optional("architecture", "The architecture of the processor, in the words of Go.", text),
    optional("author", "Who made it.", text),
    optional("os", "The operating system.", text),
    optional("variant", "The variant of the architecture.", text),
];

fn set_form(generator: &mut SchemaGenerator) -> Schema {
    map(object(generator, &[]))
}

/// What an image's configuration says over that of its base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageSettings {
    /// The architecture of the processor, in the words of Go.
    pub architecture: Option<String>,
    /// The operating system.
    pub os: Option<String>,
    /// The variant of the architecture.
    pub variant: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Variables, `NAME=VALUE`; they replace those of the same name.
    pub env: Vec<String>,
    /// The program and its first arguments.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments that follow.
    pub cmd: Option<Vec<String>>,
    /// As whom programs start.
    pub user: Option<String>,
    /// Where programs start.
    pub working_dir: Option<String>,
    /// The ports at which it serves, beside those of the base.
    pub exposed_ports: BTreeSet<String>,
    /// Directories that are no part of it, beside those of the base.
    pub volumes: BTreeSet<String>,
    /// Free texts; they replace those of the same name.
    pub labels: BTreeMap<String, String>,
    /// What asks it to end.
    pub stop_signal: Option<String>,
}

impl ImageSettings {
    /// Returns the schema of what [`ImageSettings::read`] reads.
    pub(super) fn form(generator: &mut SchemaGenerator) -> Schema {
        object(generator, &[FIELDS])
    }

    pub(super) fn read(node: Node) -> Result<Self, SpecError> {
        let mut object = node.object(&[FIELDS])?;
        let arguments = |node: Node| node.list(Node::argument);
        Ok(Self {
            architecture: object.optional("architecture", Node::text)?,
            os: object.optional("os", Node::text)?,
            variant: object.optional("variant", Node::text)?,
            author: object.optional("author", Node::text)?,
            env: object.or_default("Env", |node| node.list(variable))?,
            entrypoint: object.optional("Entrypoint", arguments)?,
            cmd: object.optional("Cmd", arguments)?,
            user: object.optional("User", Node::argument)?,
            working_dir: object.optional("WorkingDir", directory)?,
            exposed_ports: object.or_default("ExposedPorts", set)?,
            volumes: object.or_default("Volumes", set)?,
            labels: object.or_default("Labels", |node| node.map(Node::string))?,
            stop_signal: object.optional("StopSignal", Node::text)?,
        })
    }
}

/// Returns a variable with its value.
fn variable(node: Node) -> Result<String, SpecError> {
    let wrong = node.invalid("`NAME=VALUE` is expected");
    let text = node.argument()?;
    if text.find('=').is_some_and(|at| at > 0) { Ok(text) } else { Err(wrong) }
}

/// Returns a directory as seen in the image.
fn directory(node: Node) -> Result<String, SpecError> {
    let wrong = node.invalid("a path that begins with `/` is expected");
    let text = node.argument()?;
    if text.starts_with('/') { Ok(text) } else { Err(wrong) }
}

/// Returns the names of an object whose members are empty objects, which is how OCI writes a set.
fn set(node: Node) -> Result<BTreeSet<String>, SpecError> {
    let member = |(name, node): (String, Node)| node.object(&[]).map(|_| name);
    node.members()?.into_iter().map(member).collect()
}
