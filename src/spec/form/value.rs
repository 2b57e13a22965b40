//! What values look like that are taken as they stand: a schema for each way in which [`Node`](super::super::object::Node)
//! reads one.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::with;

/// Returns the schema of a type.
pub(crate) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Returns the schema of texts that a pattern matches.
pub(crate) fn matching(pattern: &str) -> Schema {
    json_schema!({"type": "string", "pattern": pattern})
}

/// Returns the schema of a text that is one of these words.
pub(crate) fn one_of(words: &[&str]) -> Schema {
    json_schema!({"type": "string", "enum": words})
}

/// Returns the schema of a list of which each element looks alike.
pub(crate) fn list(element: Schema) -> Schema {
    let element = Value::from(element);
    json_schema!({"type": "array", "items": element})
}

/// Returns the schema of an object with free keys of which each member looks alike.
pub(crate) fn map(member: Schema) -> Schema {
    let member = Value::from(member);
    json_schema!({"type": "object", "additionalProperties": member})
}

/// Returns the schema of an object whose keys match a pattern.
pub(crate) fn keyed(key: &str, member: Schema) -> Schema {
    with(map(member), json!({"propertyNames": {"pattern": key}}))
}

/// Returns the pattern of a name in a directory: neither `.` nor `..`, and without slash.
pub(crate) fn file_name_pattern() -> String {
    const OTHER: &str = r"[^/\u0000]";
    format!(r"([^/.\u0000]|\.[^/.\u0000]|\.\.{OTHER}){OTHER}*")
}

/// Returns the pattern of a path that is not that of the tree itself.
pub(crate) fn inner_path() -> String {
    let name = file_name_pattern();
    format!("^{name}(/{name})*$")
}

/// Returns the pattern of a path in a tree.
pub(crate) fn relative_path() -> String {
    let name = file_name_pattern();
    format!(r"^(\.|{name}(/{name})*)?$")
}

/// The name of a variable of a configuration.
pub(crate) const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
/// The name of a variable of the environment.
const ENVIRONMENT_VARIABLE: &str = r"^[^=\u0000]+$";
const TEXT: &str = r"^[^\u0000]+$";
const ARGUMENT: &str = r"^[^\u0000]*$";

pub(crate) fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!(true)
}

pub(crate) fn string(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string"})
}

pub(crate) fn strings(generator: &mut SchemaGenerator) -> Schema {
    list(string(generator))
}

pub(crate) fn text(_: &mut SchemaGenerator) -> Schema {
    matching(TEXT)
}

pub(crate) fn texts(generator: &mut SchemaGenerator) -> Schema {
    list(text(generator))
}

pub(crate) fn argument(_: &mut SchemaGenerator) -> Schema {
    matching(ARGUMENT)
}

pub(crate) fn arguments(generator: &mut SchemaGenerator) -> Schema {
    list(argument(generator))
}

pub(crate) fn command(generator: &mut SchemaGenerator) -> Schema {
    let program = json!({"prefixItems": [text(generator)], "minItems": 1});
    with(arguments(generator), program)
}

pub(crate) fn boolean(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "boolean"})
}

pub(crate) fn seconds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 1, "maximum": u32::MAX})
}

pub(crate) fn port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 1, "maximum": u16::MAX})
}

pub(crate) fn file_name(_: &mut SchemaGenerator) -> Schema {
    matching(&format!("^{}$", file_name_pattern()))
}

pub(crate) fn names(generator: &mut SchemaGenerator) -> Schema {
    keyed(TEXT, text(generator))
}

pub(crate) fn variables(generator: &mut SchemaGenerator) -> Schema {
    keyed(ENVIRONMENT_VARIABLE, argument(generator))
}

pub(crate) fn configuration(generator: &mut SchemaGenerator) -> Schema {
    keyed(VARIABLE, any(generator))
}

/// An object from names that are not empty to whatever a type reads.
pub(crate) fn named<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    keyed(TEXT, of::<T>(generator))
}

pub(crate) fn sha256(_: &mut SchemaGenerator) -> Schema {
    matching("^[0-9a-f]{64}$")
}

pub(crate) fn sha512(_: &mut SchemaGenerator) -> Schema {
    matching("^[0-9a-f]{128}$")
}

/// The module and name of an environment.
pub(crate) fn target(generator: &mut SchemaGenerator) -> Schema {
    tuple(&[of::<crate::spec::path::RelativePath>(generator), text(generator)])
}

/// Returns the schema of a list with these elements and no others.
pub(crate) fn tuple(elements: &[Schema]) -> Schema {
    let length = elements.len();
    json_schema!({
        "type": "array", "prefixItems": elements, "items": false, "minItems": length, "maxItems": length,
    })
}
