//! What the documentation shows is what the schemas describe.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use envserve::spec::{EnvironmentsFile, Spec};
use serde_json::Value;

use super::{refused, repository, schema};
use crate::support::{block, files};

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("readable")).expect("JSON")
}

/// Returns the files of the examples that are specs or environments files.
fn examples(wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    files(&repository("examples")).into_iter().filter(|path| wanted(path)).collect()
}

#[test]
fn all_specs_of_the_examples_and_of_the_readme_are_valid() {
    let is_spec = |path: &Path| {
        path.extension().is_some_and(|extension| extension == "json") && {
            let value = read(path);
            value.get("environment").is_some() && value.get("repositories").is_some()
        }
    };
    let paths = examples(is_spec);
    assert!(paths.len() >= 7, "{paths:?}");
    let readme = fs::read_to_string(repository("README.md")).expect("readable");
    let mut specs: Vec<Value> = paths.iter().map(|path| read(path)).collect();
    specs.push(serde_json::from_str(&block(&readme, "`spec.json` says")).expect("JSON"));
    for spec in &specs {
        Spec::parse("spec.json", spec.to_string().as_bytes()).expect("a spec");
    }
    assert_eq!(refused(&schema("spec"), &specs), BTreeSet::new(), "{paths:?}");
}

#[test]
fn all_environments_files_of_the_examples_and_of_the_readme_are_valid() {
    let paths = examples(|path| path.file_name().is_some_and(|name| name == "ENVS"));
    assert!(paths.len() >= 5, "{paths:?}");
    let readme = fs::read_to_string(repository("README.md")).expect("readable");
    let mut all: Vec<Value> = paths.iter().map(|path| read(path)).collect();
    all.push(serde_json::from_str(&block(&readme, "`ENVS`, in the root")).expect("JSON"));
    for environments in &all {
        EnvironmentsFile::parse("ENVS", environments.to_string().as_bytes()).expect("an environments file");
    }
    assert_eq!(refused(&schema("environments"), &all), BTreeSet::new(), "{paths:?}");
}
