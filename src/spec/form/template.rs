//! What values look like in which variables may stand: what has `{{` in it may become anything.

use schemars::{Schema, SchemaGenerator};

use super::value::{self, file_name_pattern, inner_path, keyed, list, matching, relative_path};

/// Returns the pattern of texts that another pattern matches, or that have a variable in them.
fn or_variable(pattern: &str) -> String {
    format!(r"{pattern}|\{{\{{")
}

/// Returns the schema of texts that a pattern matches once variables are replaced.
pub(crate) fn becoming(pattern: &str) -> Schema {
    matching(&or_variable(pattern))
}

/// Returns the schema of a text that becomes one of these words. Those who write are offered them.
pub(crate) fn one_of(words: &[&str]) -> Schema {
    let variable = matching(r"\{\{");
    schemars::json_schema!({"anyOf": [value::one_of(words), variable]})
}

/// Returns the schema of an object with paths for keys.
pub(crate) fn by_path(member: Schema) -> Schema {
    keyed(&or_variable(&relative_path()), member)
}

pub(crate) fn path(_: &mut SchemaGenerator) -> Schema {
    becoming(&relative_path())
}

pub(crate) fn paths(generator: &mut SchemaGenerator) -> Schema {
    list(path(generator))
}

/// A path in a tree that is not the tree itself.
pub(crate) fn inner(_: &mut SchemaGenerator) -> Schema {
    becoming(&inner_path())
}

/// A path as seen in an image, with or without a slash before it.
pub(crate) fn path_in_image(_: &mut SchemaGenerator) -> Schema {
    let name = file_name_pattern();
    becoming(&format!(r"^/?(\.|{name}(/{name})*)?$"))
}
