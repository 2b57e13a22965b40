//! What just's clients ask with: a key, and the repository description that it names. Both are JSON blobs.
//!
//! They are read into the terms of our own key, so their layout does not matter: one environment has one entry, whoever
//! asks for it and however it is written down.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::spec::{Config, GitId, Place, RelativePath, SpecError, json};

const KEY: &str = "key";
const TARGET: &str = "target_name of the key";
const CONFIG: &str = "effective_config of the key";
const DESCRIPTION: &str = "repository description";
/// The name of the repository that a description is of.
pub(super) const MAIN: &str = "0";

/// What a key says.
#[derive(Debug, PartialEq)]
pub(super) struct Key {
    /// The hash of the repository description.
    pub(super) description: String,
    /// The directory of the environments file.
    pub(super) module: RelativePath,
    /// The name of the environment.
    pub(super) name: String,
    /// Its variables.
    pub(super) effective_config: Config,
}

/// A repository as a description has it.
#[derive(Debug, PartialEq)]
pub(super) struct Repository {
    /// Its root.
    pub(super) root: Root,
    /// The name of the environments file of every module.
    pub(super) environments_file: String,
    /// What other repositories are called there, and their names.
    pub(super) bindings: BTreeMap<String, String>,
}

/// A root as a description has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Root {
    /// The tree.
    pub(super) tree: GitId,
    /// Whether its symlinks are left out.
    pub(super) ignore_special: bool,
}

#[derive(Deserialize)]
struct KeyFields {
    repo_key: String,
    target_name: String,
    effective_config: String,
}

#[derive(Deserialize)]
struct RepositoryFields {
    workspace_root: Vec<String>,
    target_root: Vec<String>,
    #[serde(default = "targets")]
    target_file_name: String,
    bindings: BTreeMap<String, String>,
}

fn targets() -> String {
    "TARGETS".to_owned()
}

/// Reads a key.
///
/// # Errors
/// When it is not JSON of the form expected, or the target or the configuration in it make no sense.
pub(super) fn read_key(bytes: &[u8]) -> Result<Key, SpecError> {
    let fields: KeyFields = read(KEY, bytes)?;
    let (module, name): (String, String) = read(TARGET, fields.target_name.as_bytes())?;
    let invalid = |value: &str, expected| SpecError::Invalid { place: Place::new(TARGET), value: cut(value), expected };
    let module = RelativePath::parse(&module).map_err(|_| {
        invalid(&module, "the module, a relative path without empty, `.` or `..` components, is expected")
    })?;
    if name.is_empty() || name.contains('\0') {
        return Err(invalid(&name, "the name of an environment is expected"));
    }
    let effective_config = Config::from_value(CONFIG, json::parse(CONFIG, fields.effective_config.as_bytes())?)?;
    Ok(Key { description: fields.repo_key, module, name, effective_config })
}

/// Reads a repository description. Rules and expressions play no part for environments.
///
/// # Errors
/// When it is not JSON of the form expected, or environments would lie in another tree than their sources.
pub(super) fn read_description(bytes: &[u8]) -> Result<BTreeMap<String, Repository>, SpecError> {
    let repositories: BTreeMap<String, RepositoryFields> = read(DESCRIPTION, bytes)?;
    repositories.into_iter().map(|(name, fields)| Ok((name.clone(), repository(&name, fields)?))).collect()
}

fn repository(name: &str, fields: RepositoryFields) -> Result<Repository, SpecError> {
    let place = Place::new(DESCRIPTION).key(name);
    let root = root(&place.key("workspace_root"), &fields.workspace_root)?;
    if fields.target_root != fields.workspace_root {
        return Err(SpecError::Invalid {
            place: place.key("target_root"),
            value: format!("{} beside workspace_root {}", shown(&fields.target_root), shown(&fields.workspace_root)),
            expected: "the environments file must lie in the root that it is about, so both must be the same tree",
        });
    }
    Ok(Repository { root, environments_file: fields.target_file_name, bindings: fields.bindings })
}

fn root(place: &Place, words: &[String]) -> Result<Root, SpecError> {
    let invalid = || SpecError::Invalid {
        place: place.clone(),
        value: shown(words),
        expected: "`[\"git tree\", ID]` or `[\"git tree ignore-special\", ID]` is expected",
    };
    let [kind, id] = words else { return Err(invalid()) };
    let ignore_special = match kind.as_str() {
        "git tree" => false,
        "git tree ignore-special" => true,
        _ => return Err(invalid()),
    };
    Ok(Root { tree: GitId::parse(id).map_err(|_| invalid())?, ignore_special })
}

fn read<T: DeserializeOwned>(file: &'static str, bytes: &[u8]) -> Result<T, SpecError> {
    serde_json::from_value(json::parse(file, bytes)?).map_err(|source| SpecError::Malformed { file, source })
}

fn shown(words: &[String]) -> String {
    cut(&Value::from(words).to_string())
}

fn cut(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const A: &str = "1212121212121212121212121212121212121212";
    const B: &str = "3434343434343434343434343434343434343434";

    fn key(target: &str, config: &str) -> Result<Key, SpecError> {
        let key = json!({"repo_key": "ab", "target_name": target, "effective_config": config});
        read_key(serde_json::to_string_pretty(&key).unwrap().as_bytes())
    }

    fn described(workspace: &Value, targets: &Value) -> Result<BTreeMap<String, Repository>, SpecError> {
        let described = json!({"workspace_root": workspace, "target_root": targets, "rule_root": workspace,
            "target_file_name": "ENVS", "rule_file_name": "RULES", "bindings": {"x": "0"}});
        read_description(json!({"0": described}).to_string().as_bytes())
    }

    #[test]
    fn texts_inside_of_a_key_are_json() {
        let read = key(r#"["a/b","c d/é"]"#, r#"{"X":1.0,"Y":null}"#).unwrap();
        let effective_config = Config::from_value("", json!({"X": 1, "Y": null})).unwrap();
        let module = RelativePath::parse("a/b").unwrap();
        assert_eq!(read, Key { description: "ab".into(), module, name: "c d/é".into(), effective_config });
    }

    #[test]
    fn a_key_that_makes_no_sense_is_refused_with_its_place() {
        for (target, config, expected) in [
            ("x", "{}", "target_name of the key:1:1"),
            (r#"["a"]"#, "{}", "target_name of the key has not the form"),
            (r#"["../a","b"]"#, "{}", "`../a` cannot stand here"),
            (r#"["a",""]"#, "{}", "the name of an environment is expected"),
            (r#"["a","b"]"#, "[]", "effective_config of the key"),
            (r#"["a","b"]"#, r#"{"X":1,"X":2}"#, "`X` stands twice"),
            (r#"["a","b"]"#, r#"{"not a name":1}"#, "a variable name"),
        ] {
            let error = key(target, config).unwrap_err().to_string();
            assert!(error.contains(expected), "{target} {config}: {error}");
        }
        for bad in ["", "[]", "{}", r#"{"repo_key":1,"target_name":"","effective_config":""}"#] {
            assert!(read_key(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn both_kinds_of_roots_are_read() {
        for (kind, ignore_special) in [("git tree", false), ("git tree ignore-special", true)] {
            let root = json!([kind, A]);
            let read = described(&root, &root).unwrap();
            let root = Root { tree: GitId::parse(A).unwrap(), ignore_special };
            let bindings = BTreeMap::from([("x".to_owned(), "0".to_owned())]);
            assert_eq!(read["0"], Repository { root, environments_file: "ENVS".into(), bindings });
        }
    }

    #[test]
    fn a_root_of_targets_beside_that_of_sources_is_refused_and_both_are_named() {
        let error = described(&json!(["git tree", A]), &json!(["git tree", B])).unwrap_err().to_string();
        assert!(error.contains(A) && error.contains(B) && error.contains("0.target_root"), "{error}");
        assert!(described(&json!(["git tree", A]), &json!(["git tree ignore-special", A])).is_err());
    }

    #[test]
    fn a_description_of_another_form_is_refused() {
        for root in [json!(["file", "/x"]), json!(["git tree", "x"]), json!(["git tree"]), json!([]), json!([1, 2])] {
            assert!(described(&root, &root).is_err(), "{root}");
        }
        for bad in ["x", "[]", r#"{"0":{}}"#, r#"{"0":{"workspace_root":[]}}"#] {
            assert!(read_description(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
