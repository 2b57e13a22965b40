//! The schemas in docs are those that the program prints, and each is a schema.

use std::fs;
use std::process::Command;

use super::{envserve, names, repository, schema};
use crate::support::{fail, json_validator, run, succeed, text};

const WRITE: &str = "for name in $(envserve schema); do envserve schema $name >docs/schemas/$name.json; done";

#[test]
fn the_schemas_in_docs_are_those_of_the_types() {
    let mut files: Vec<String> = fs::read_dir(repository("docs/schemas"))
        .expect("there")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".json"))
        .collect();
    files.sort();
    let mut expected: Vec<String> = names().iter().map(|name| format!("{name}.json")).collect();
    expected.sort();
    assert_eq!(files, expected, "write them: {WRITE}");
    for name in names() {
        let printed = run(envserve().args(["schema", &name]));
        let kept = fs::read(schema(&name)).expect("readable");
        assert!(printed.stdout == kept, "docs/schemas/{name}.json is not fresh. Write all: {WRITE}");
    }
}

#[test]
fn each_schema_is_one() {
    let schemas = names().into_iter().map(|name| schema(&name));
    succeed(Command::new(json_validator()).arg("--check-metaschema").args(schemas));
}

#[test]
fn each_schema_is_described() {
    let read_me = fs::read_to_string(repository("docs/schemas/README.md")).expect("readable");
    let help = text(&run(envserve().args(["schema", "--help"])).stdout);
    for name in names() {
        assert!(read_me.contains(&format!("({name}.json)")), "{name}");
        assert!(help.contains(&format!("- {name}:")), "{name}: {help}");
    }
}

#[test]
fn a_schema_that_is_not_there_is_answered_with_those_that_are() {
    let stderr = fail(envserve().args(["schema", "spce"]), 2);
    assert!(stderr.contains("'spec'"), "{stderr}");
}
