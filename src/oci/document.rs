//! How the JSON documents of an image are read: bounded, strictly, and told by their names.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::spec::{SpecError, json, shown};

/// Most bytes of a document. Registries take no more.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;
/// Largest size that a descriptor may state: numbers of canonical JSON are exact up to here.
pub const MAX_BLOB_BYTES: u64 = (1 << 53) - 1;

/// Free texts by name.
pub type Annotations = BTreeMap<String, String>;

/// Why bytes are not the document that they should be.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is longer than anyone needs.
    #[error("{document} of {size} bytes is longer than {MAX_DOCUMENT_BYTES}")]
    TooLarge {
        /// Which document.
        document: &'static str,
        /// Its bytes.
        size: usize,
    },
    /// It is no JSON, or two programs would read it differently.
    #[error("{document} is not JSON that everyone reads alike")]
    Json {
        /// Which document.
        document: &'static str,
        /// What is wrong.
        #[source]
        source: Box<SpecError>,
    },
    /// A field is missing, or of another type.
    #[error("{document} has not the fields that it needs")]
    Malformed {
        /// Which document.
        document: &'static str,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A field has a value that it cannot have.
    #[error("field `{field}` of {document} cannot be `{value}`")]
    Value {
        /// Which document.
        document: &'static str,
        /// The field.
        field: &'static str,
        /// The value, cut to a readable length.
        value: String,
    },
    /// A list is longer than anyone needs.
    #[error("{document} has more than {limit} {what}")]
    TooMany {
        /// Which document.
        document: &'static str,
        /// What there is too much of.
        what: &'static str,
        /// The limit passed.
        limit: usize,
    },
    /// The layers and what the configuration says of them are not as many.
    #[error("a manifest has {layers} layers, and its configuration names {diff_ids}")]
    Layers {
        /// The layers of the manifest.
        layers: usize,
        /// The layers that the configuration names.
        diff_ids: usize,
    },
}

/// Reads JSON with a limit on its size.
pub(super) fn parse(document: &'static str, bytes: &[u8]) -> Result<Value, DocumentError> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(DocumentError::TooLarge { document, size: bytes.len() });
    }
    json::parse(document, bytes).map_err(|source| DocumentError::Json { document, source: Box::new(source) })
}

/// Reads the fields of a value.
pub(super) fn fields<T: DeserializeOwned>(document: &'static str, value: Value) -> Result<T, DocumentError> {
    serde_json::from_value(value).map_err(|source| DocumentError::Malformed { document, source })
}

/// Checks that a value is an object where it is there. Lists would be taken for the fields in their order.
pub(super) fn check_object(
    document: &'static str,
    field: &'static str,
    value: Option<&Value>,
) -> Result<(), DocumentError> {
    match value {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(other) => Err(wrong(document, field, json::type_of(other))),
    }
}

/// Returns the error of a field with a value that it cannot have.
pub(super) fn wrong(document: &'static str, field: &'static str, value: &str) -> DocumentError {
    DocumentError::Value { document, field, value: shown(value) }
}

/// Reads a field that programs write as `null` when it is empty.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
