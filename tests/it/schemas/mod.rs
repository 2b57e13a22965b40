//! JSON schemas: fresh, sound, and in agreement with what is read and printed.

mod examples;
mod fresh;
mod good;
mod inputs;
mod mutants;
mod outputs;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{json_validator, run, succeed, text};

/// Returns a path of this repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn envserve() -> Command {
    Command::new(env!("CARGO_BIN_EXE_envserve"))
}

/// Returns the names of all schemas.
fn names() -> Vec<String> {
    succeed(envserve().arg("schema")).lines().map(str::to_owned).collect()
}

/// Returns a schema as it is in docs.
fn schema(name: &str) -> PathBuf {
    repository(&format!("docs/schemas/{name}.json"))
}

/// Returns which of these documents a schema refuses, by their places in the list.
fn refused(schema: &Path, documents: &[Value]) -> BTreeSet<usize> {
    let directory = TempDir::new().expect("temporary");
    let names: Vec<String> = (0..documents.len()).map(|at| at.to_string()).collect();
    for (name, document) in names.iter().zip(documents) {
        fs::write(directory.path().join(name), document.to_string()).expect("temporary");
    }
    let mut validator = Command::new(json_validator());
    validator.current_dir(directory.path()).arg("--schemafile").arg(schema);
    validator.args(["--default-filetype", "json", "--output-format", "json"]).args(&names);
    let output = run(&mut validator);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    assert!(printed["parse_errors"].as_array().is_none_or(Vec::is_empty), "{printed}");
    let errors = printed["errors"].as_array().expect("a list");
    assert_eq!(errors.is_empty(), output.status.success(), "{printed}");
    errors.iter().map(|error| error["filename"].as_str().expect("a name").parse().expect("a number")).collect()
}

/// Collects the names of all fields that a schema has.
fn fields(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::Object(properties) if key == "properties" => {
                        found.extend(properties.keys().cloned());
                        properties.values().for_each(|value| fields(value, found));
                    }
                    value => fields(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

/// Collects all keys of a document.
fn keys(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::Object(object) => {
            found.extend(object.keys().cloned());
            object.values().for_each(|value| keys(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}
