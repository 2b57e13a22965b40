//! What is read: parser and schema refuse the same, but for what only the parser can know.

use std::collections::BTreeSet;
use std::fs;

use envserve::spec::{Config, EnvironmentsFile, Spec, SpecError};
use serde_json::{Value, json};

use super::mutants::mutants;
use super::{fields, good, keys, refused, schema};

/// Says what the parser says of a spec.
fn parse_spec(document: &Value) -> Result<(), SpecError> {
    Spec::parse("spec.json", document.to_string().as_bytes()).map(drop)
}

/// Says what the parser says of an environments file, and of each environment where `V` is set.
fn parse_environments(document: &Value) -> Result<(), SpecError> {
    let config = Config::from_value("spec.json", json!({"V": "v", "W": 1})).expect("a configuration");
    let file = EnvironmentsFile::parse("ENVS", document.to_string().as_bytes())?;
    file.names().try_for_each(|name| file.get(name).and_then(|definition| definition.expand(&config)).map(drop))
}

/// Says whether something is refused that cannot be seen where it stands: it depends on what stands elsewhere, or on
/// the values of variables.
fn is_beyond_a_schema(error: &SpecError) -> bool {
    match error {
        SpecError::UnknownRepository { .. }
        | SpecError::RootCycle { .. }
        | SpecError::UnknownVariable { .. }
        | SpecError::UnsetVariable { .. }
        | SpecError::NotText { .. }
        | SpecError::Overlap { .. } => true,
        SpecError::Invalid { expected, value, .. } => {
            value == WHOLE || BEYOND.iter().any(|words| expected.contains(words))
        }
        _ => false,
    }
}

/// A whole number to a schema, which does not see how it is written.
const WHOLE: &str = "60.0";

/// What else is beyond a schema, by what the parser expects.
const BEYOND: [&str; 3] =
    ["another key becomes the same", "another file of the distdir has the same name", "its file has no name"];

/// Checks that parser and schema agree on good documents and on all their mutants.
fn agree(name: &str, good: &[(Value, &str)], parse: fn(&Value) -> Result<(), SpecError>) {
    let kept = good.len();
    let mut documents: Vec<Value> = good.iter().map(|(document, _)| document.clone()).collect();
    documents.extend(good.iter().flat_map(|(document, below)| mutants(document, below)));
    let refused = refused(&schema(name), &documents);
    let mut disagreements = Vec::new();
    let (mut both, mut beyond) = (0, 0);
    for (at, document) in documents.iter().enumerate() {
        let parsed = parse(document);
        assert!(at >= kept || parsed.is_ok() && !refused.contains(&at), "{document}: {parsed:?}");
        match (parsed, refused.contains(&at)) {
            (Ok(()), false) => {}
            (Err(_), true) => both += 1,
            (Err(error), false) if is_beyond_a_schema(&error) => beyond += 1,
            // What becomes of a variable is seen by the parser alone.
            (Err(_), false) if name == "environments" && document.to_string().contains("{{V}}") => beyond += 1,
            (Err(error), false) => disagreements.push(format!("the schema lets pass {document}: {error}")),
            (Ok(()), true) => disagreements.push(format!("the schema refuses {document}")),
        }
    }
    assert!(disagreements.is_empty(), "{}:\n{}", disagreements.len(), disagreements.join("\n"));
    assert!(both > 1000 && beyond > 10 && beyond * 5 < both, "{both} {beyond} of {}", documents.len());
}

#[test]
fn specs_that_the_parser_refuses_are_refused_by_the_schema_and_no_others() {
    agree("spec", &good::specs(), parse_spec);
}

#[test]
fn environments_files_that_the_parser_refuses_are_refused_by_the_schema_and_no_others() {
    agree("environments", &good::environments_files(), parse_environments);
}

#[test]
fn the_good_documents_have_every_field() {
    for (name, documents) in [("spec", good::specs()), ("environments", good::environments_files())] {
        let text = fs::read(schema(name)).expect("readable");
        let (mut known, mut used) = (BTreeSet::new(), BTreeSet::new());
        fields(&serde_json::from_slice(&text).expect("JSON"), &mut known);
        documents.iter().for_each(|(document, _)| keys(document, &mut used));
        let unused: Vec<_> = known.difference(&used).collect();
        assert!(known.len() > 20 && unused.is_empty(), "{unused:?}");
    }
}

#[test]
fn where_the_schema_is_means_nothing() {
    let (spec, _) = good::specs().swap_remove(0);
    let mut without = spec.clone();
    without.as_object_mut().expect("an object").remove("$schema").expect("there");
    let parse = |value: &Value| Spec::parse("spec.json", value.to_string().as_bytes()).expect("a spec");
    assert_eq!(parse(&spec), parse(&without));
    let (environments, _) = good::environments_files().swap_remove(0);
    let file = EnvironmentsFile::parse("ENVS", environments.to_string().as_bytes()).expect("an environments file");
    assert_eq!(file.names().collect::<Vec<_>>(), ["e"]);
}
