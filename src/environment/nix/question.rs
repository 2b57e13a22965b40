//! What is evaluated: the input root of the action that does it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::json;

use super::super::action::compose;
use super::super::{Build, BuildError};
use super::{closure, path, shell, store_nodes};
use crate::digest::Digest;
use crate::nix::{StorePath, registration};
use crate::spec::{NixFields, NixMode, RelativePath, Source};
use crate::store::Node;

const EXPRESSION: &str = include_str!("evaluate.nix");
const SCRIPT: &str = include_str!("evaluate.sh");

/// Returns expression and inputs at their places.
pub(super) async fn inputs(build: &Build<'_>, fields: &NixFields) -> Result<Vec<(RelativePath, Node)>, BuildError> {
    let mut sources: BTreeMap<RelativePath, Source> =
        BTreeMap::from([(path("work/source"), fields.expression.clone())]);
    for (name, source) in &fields.inputs {
        let at = RelativePath::parse(name).ok().filter(|at| at.components().count() == 1);
        let at = at.ok_or_else(|| BuildError::refused(build, format!("input `{name}` is no name of a file")))?;
        sources.insert(path("work/inputs").join(at.as_str()).expect("a component joins"), source.clone());
    }
    build.inputs(&sources).await
}

/// Returns the input root of one round.
pub(super) async fn input_root(
    build: &Build<'_>,
    fields: &NixFields,
    mut nodes: Vec<(RelativePath, Node)>,
    built: &BTreeMap<String, StorePath>,
) -> Result<Digest, BuildError> {
    let settings = settings(build, fields, built)?.to_string();
    let closure = closure(build, built.values().cloned()).await?;
    let mut texts = vec![("work/evaluate.nix", EXPRESSION.into()), ("evaluate.sh", SCRIPT.into())];
    texts.push(("work/settings.json", settings));
    if !closure.is_empty() {
        texts.push(("work/registration", registration(&closure)));
    }
    for (at, text) in texts {
        let digest = build.store.put(build.function, Bytes::from(text)).await?;
        nodes.push((path(at), Node::File { digest, executable: false }));
    }
    nodes.extend(store_nodes("work/store/nix/store", &closure));
    compose(build, nodes).await
}

/// Returns what the expression around the expression is told.
fn settings(
    build: &Build<'_>,
    fields: &NixFields,
    built: &BTreeMap<String, StorePath>,
) -> Result<serde_json::Value, BuildError> {
    let attribute = fields.attr.as_deref().unwrap_or("");
    let names = attribute_path(attribute).ok_or_else(|| {
        BuildError::refused(
            build,
            format!("`{attribute}` is no attribute path: a quote is not closed, or a name is empty"),
        )
    })?;
    let file = fields.file.as_ref().map(|file| format!("/{file}")).unwrap_or_default();
    Ok(json!({
        "file": file,
        "attr": names,
        "args": fields.args,
        "inputs": fields.inputs.keys().collect::<Vec<_>>(),
        "outputs": fields.outputs,
        "shell": fields.mode == NixMode::Shell,
        "dump": shell::DUMP,
        "built": built.keys().collect::<Vec<_>>(),
    }))
}

/// Splits an attribute path at its dots; names in quotes may have dots themselves.
fn attribute_path(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        names.push(name.to_owned());
        rest = match after.strip_prefix('.') {
            Some("") => return None,
            Some(more) => more,
            None if after.is_empty() => after,
            None => return None,
        };
    }
    (!names.iter().any(String::is_empty)).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_path_is_split_where_nix_splits_it() {
        let paths: [(&str, Option<&[&str]>); 8] = [
            ("", Some(&[])),
            ("a", Some(&["a"])),
            ("a.b-c.0", Some(&["a", "b-c", "0"])),
            ("a.\"b.c\".d", Some(&["a", "b.c", "d"])),
            ("a..b", None),
            ("a.", None),
            ("\"a", None),
            ("\"a\"b", None),
        ];
        for (text, names) in paths {
            let expected = names.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(attribute_path(text), expected, "{text}");
        }
    }
}
