//! The closures that a derivation asks to be told of, by `exportReferencesGraph`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value, json};

use super::EnvironmentError;
use super::attributes::Attributes;
use crate::nix::path_info::{PathInfo, nar_hash};
use crate::nix::store_path::{STORE_DIRECTORY, StorePath};

/// The attribute that names files and paths.
const ATTRIBUTE: &str = "exportReferencesGraph";

/// Returns the lines that tell a store of the closure of a path: the path, an empty line, the number of references, each.
pub(super) fn registration(
    file: &str,
    path: &str,
    closure: &BTreeMap<StorePath, PathInfo>,
) -> Result<String, EnvironmentError> {
    check_file(file)?;
    let mut text = String::new();
    for (path, info) in reachable([&object(path)?], closure)? {
        let references = &info.references;
        writeln!(text, "{path}\n\n{}", references.len()).expect("a string takes everything");
        references.iter().try_for_each(|path| writeln!(text, "{path}")).expect("a string takes everything");
    }
    Ok(text)
}

/// Adds to structured attributes, for each name that they give, what is known of the closure of its paths.
pub(super) fn describe(
    attributes: &mut Attributes,
    closure: &BTreeMap<StorePath, PathInfo>,
) -> Result<(), EnvironmentError> {
    let Some(Value::Object(graphs)) = attributes.get(ATTRIBUTE).cloned() else { return Ok(()) };
    for (name, paths) in graphs {
        let paths = match &paths {
            Value::Array(paths) => paths.as_slice(),
            one => std::slice::from_ref(one),
        };
        let path = |value: &Value| object(value.as_str().ok_or(EnvironmentError::Graph)?);
        let start: BTreeSet<StorePath> = paths.iter().map(path).collect::<Result<_, _>>()?;
        let described: Result<Vec<Value>, _> =
            reachable(&start, closure)?.into_iter().map(|(path, info)| describe_one(path, info, closure)).collect();
        attributes.insert(name, described?.into());
    }
    Ok(())
}

fn describe_one(
    path: &StorePath,
    info: &PathInfo,
    closure: &BTreeMap<StorePath, PathInfo>,
) -> Result<Value, EnvironmentError> {
    let references: Vec<String> = info.references.iter().map(ToString::to_string).collect();
    let size: u64 = reachable([path], closure)?.values().map(|info| info.nar.size()).sum();
    let mut described = json!({
        "closureSize": size, "narHash": nar_hash(&info.nar), "narSize": info.nar.size(),
        "path": path.to_string(), "references": references,
    });
    if let Some(content) = &info.content_address {
        described["ca"] = content.as_str().into();
    }
    Ok(described)
}

/// Returns what the paths lead to, themselves among it.
fn reachable<'a>(
    start: impl IntoIterator<Item = &'a StorePath>,
    closure: &'a BTreeMap<StorePath, PathInfo>,
) -> Result<BTreeMap<&'a StorePath, &'a PathInfo>, EnvironmentError> {
    let mut found = BTreeMap::new();
    let mut next: Vec<&StorePath> = start.into_iter().collect();
    while let Some(path) = next.pop() {
        if let Entry::Vacant(free) = found.entry(path) {
            let info = closure.get(path).ok_or_else(|| EnvironmentError::GraphInput { path: path.clone() })?;
            next.extend(&free.insert(info).references);
        }
    }
    Ok(found)
}

/// Returns the object that holds a path.
fn object(text: &str) -> Result<StorePath, EnvironmentError> {
    let inside = text.strip_prefix(STORE_DIRECTORY).and_then(|rest| rest.strip_prefix('/'));
    let first = inside.map(|rest| rest.split('/').next().unwrap_or(rest));
    let path = first.map_or_else(|| StorePath::parse(text), StorePath::from_base_name);
    path.map_err(|source| EnvironmentError::GraphPath { text: text.to_owned(), source })
}

fn check_file(name: &str) -> Result<(), EnvironmentError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if begins && name.bytes().all(allowed) && name.len() <= 255 {
        return Ok(());
    }
    Err(EnvironmentError::GraphName { name: name.to_owned() })
}
