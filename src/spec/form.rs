//! The fields that an object may have, declared once: the parsers refuse what is not in a table, and the schemas for
//! editors are made from it.
//!
//! What a schema says of a field is no more than what its parser takes. Where texts may have `{{NAME}}` in them, as in
//! environments files, only what no value of the variable could put right is refused ([`template`]).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::git_id::GitId;
use super::path::RelativePath;

pub(crate) mod template;
pub(crate) mod value;

/// The key by which a document says, for editors, where its schema is.
pub(crate) const SCHEMA: &str = "$schema";

/// What makes the schema of a value.
pub(crate) type Form = fn(&mut SchemaGenerator) -> Schema;

/// A field of an object.
#[derive(Debug)]
pub(crate) struct Field {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What it means, for those who write it.
    about: &'static str,
    /// Whether it must be there.
    required: bool,
    /// What its value looks like.
    form: Form,
}

/// Declares a field that must be there.
pub(crate) const fn required(name: &'static str, about: &'static str, form: Form) -> Field {
    Field { name, about, required: true, form }
}

/// Declares a field that may be there.
pub(crate) const fn optional(name: &'static str, about: &'static str, form: Form) -> Field {
    Field { name, about, required: false, form }
}

/// Returns the schema of an object that has none but the fields of these tables and those that begin with `x-`.
pub(crate) fn object(generator: &mut SchemaGenerator, tables: &[&[Field]]) -> Schema {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for field in tables.iter().copied().flatten() {
        properties.insert(field.name.to_owned(), described((field.form)(generator), field.about).into());
        if field.required {
            required.push(field.name);
        }
    }
    let mut schema = json_schema!({
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": true},
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    schema
}

/// Returns the schema of an object whose `type` says which fields it has.
pub(crate) fn variant(generator: &mut SchemaGenerator, name: &str, about: &str, tables: &[&[Field]]) -> Schema {
    let mut schema = described(object(generator, tables), about);
    let kind = schema.pointer_mut("/properties/type").and_then(Value::as_object_mut);
    kind.expect("what has variants has a type").insert("const".to_owned(), name.into());
    schema
}

/// Returns a schema with something more that it says.
pub(crate) fn with(mut schema: Schema, more: Value) -> Schema {
    if let Value::Object(more) = more {
        more.into_iter().for_each(|(key, value)| drop(schema.insert(key, value)));
    }
    schema
}

/// Returns a schema with words about what it describes.
pub(crate) fn described(schema: Schema, about: &str) -> Schema {
    with(schema, json!({"description": about}))
}

/// A schema for a text that stands where it is used, instead of among the definitions.
macro_rules! text_schema {
    ($type:ty, $name:literal, $schema:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

text_schema!(GitId, "GitId", json_schema!({"type": "string", "pattern": "^[0-9a-f]{40}$"}));
text_schema!(RelativePath, "RelativePath", value::matching(&value::relative_path()));
text_schema!(
    crate::digest::Digest,
    "Digest",
    json_schema!({"type": "string", "pattern": "^(blake3|sha256):[0-9a-f]{64}/(0|[1-9][0-9]*)$"})
);
text_schema!(
    super::key::EnvKey,
    "EnvKey",
    json_schema!({"type": "string", "pattern": "^[0-9a-f]{64}/(0|[1-9][0-9]*)$"})
);
