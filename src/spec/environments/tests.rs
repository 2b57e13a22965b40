use serde_json::{Value, json};

use super::*;

fn parse(value: &Value) -> Result<EnvironmentsFile, SpecError> {
    EnvironmentsFile::parse("ENVS", value.to_string().as_bytes())
}

fn config(value: Value) -> Config {
    Config::from_value("spec.json", value).unwrap()
}

fn refused(value: &Value) -> (SpecError, String) {
    let error = parse(value).unwrap_err();
    let text = error.to_string();
    (error, text)
}

fn toolchain() -> Value {
    json!({"type": "tree", "doc": ["The compilers.", "{{not expanded"], "flexible_config": ["ARCH", "DEBUG"],
        "config_doc": {"ARCH": ["The architecture."]}, "x-note": "{{neither",
        "provides": {"path": ["bin/{{ARCH}}"], "vars": {"CC": "{{@root}}/bin/cc"}},
        "inputs": {"": {"env": ["@", "wheels", "", "{{ARCH}}"]}}})
}

#[test]
fn a_definition_is_expanded_in_a_configuration() {
    let file = parse(&json!({"toolchain": toolchain(), "other": toolchain()})).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["other", "toolchain"]);
    let definition = file.get("toolchain").unwrap();
    assert_eq!((definition.kind_name(), definition.doc().len()), (KindName::Tree, 2));
    assert_eq!(definition.flexible_config(), ["ARCH", "DEBUG"]);
    assert_eq!(definition.config_doc()["ARCH"], ["The architecture."]);
    let environment = definition.expand(&config(json!({"ARCH": "x86_64", "JOBS": []}))).unwrap();
    assert_eq!(environment.provides.path[0].as_str(), "bin/x86_64");
    assert_eq!(environment.provides.vars_at("/e")["CC"], "/e/bin/cc");
    let Kind::Tree(fields) = environment.kind else { panic!() };
    let expected = json!({"env": ["@", "wheels", "", "x86_64"]});
    let expected = crate::spec::source::Source::read(Node::new(Place::new(""), expected)).unwrap();
    assert_eq!(fields.inputs.into_values().collect::<Vec<_>>(), [expected]);
}

#[test]
fn an_unset_variable_stands_in_the_way_of_its_own_environment_only() {
    let fixed = json!({"type": "tree", "inputs": {}});
    let file = parse(&json!({"toolchain": toolchain(), "fixed": fixed})).unwrap();
    assert!(file.get("fixed").unwrap().expand(&Config::default()).is_ok());
    let error = file.get("toolchain").unwrap().expand(&Config::default()).unwrap_err();
    assert!(matches!(&error, SpecError::UnsetVariable { name, .. } if name == "ARCH"));
    assert!(error.to_string().starts_with("ENVS: toolchain."), "{error}");
}

#[test]
fn values_of_variables_cannot_lead_out_of_a_tree() {
    let file = parse(&json!({"toolchain": toolchain()})).unwrap();
    let error = file.get("toolchain").unwrap().expand(&config(json!({"ARCH": "../../etc"}))).unwrap_err();
    assert!(matches!(error, SpecError::Invalid { .. }));
    assert!(error.to_string().starts_with("ENVS: toolchain.provides.path[0]: `bin/../../etc`"), "{error}");
}

#[test]
fn an_unknown_environment_is_told_with_the_nearest() {
    let names = ["toolchain", "toolchains", "image", "database", "docs", "lint"];
    let definitions = names.map(|name| (name.to_owned(), json!({"type": "tree", "inputs": {}})));
    let file = parse(&Value::Object(definitions.into_iter().collect())).unwrap();
    let error = file.get("toolchian").unwrap_err();
    assert!(matches!(&error, SpecError::UnknownEnvironment { nearest, .. } if nearest.len() == 5));
    let expected = "ENVS: there is no environment `toolchian`; the nearest are `toolchain`, `toolchains`, ";
    assert!(error.to_string().starts_with(expected), "{error}");
    let error = parse(&json!({})).unwrap().get("x").unwrap_err();
    assert_eq!(error.to_string(), "ENVS: there is no environment `x`");
}

#[test]
fn what_is_no_definition_is_told_with_its_place() {
    let with = |key: &str, value: Value| {
        let mut definition = toolchain();
        definition[key] = value;
        json!({"e": definition})
    };
    let cases = [
        (json!({"e": 1}), "ENVS: e: an object is expected, but this is a number"),
        (json!({"e": {}}), "ENVS: e: the key `type` is missing"),
        (with("type", json!("tre")), "ENVS: e.type: unknown type `tre`; did you mean `tree`?"),
        (with("flexible_confg", json!([])), "ENVS: e: unknown key `flexible_confg`; did you mean `flexible_config`?"),
        (with("layers", json!([])), "ENVS: e: unknown key `layers`"),
        (with("flexible_config", json!(["A-B"])), "ENVS: e.flexible_config[0]: `A-B`"),
        (with("config_doc", json!({"ARHC": []})), "ENVS: e.config_doc: `ARHC` is not among"),
        (with("doc", json!("text")), "ENVS: e.doc: a list is expected, but this is a string"),
    ];
    for (value, expected) in cases {
        let (_, text) = refused(&value);
        assert!(text.starts_with(expected), "{text}");
    }
}
