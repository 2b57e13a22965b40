//! What holds for every reader of this floor: no input makes it panic.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const ID: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

fn spec() -> Value {
    json!({"environment": ["a", "", "x"], "config": {"A": [1, {"b": null}]}, "properties": {"OSFamily": "linux"},
        "repositories": {
            "a": {"repository": {"type": "git tree", "id": ID, "cmd": ["x"], "pragma": {"absent": true}},
                "bindings": {"b": "b", "c": "c"}},
            "b": {"repository": {"type": "computed", "repo": "c", "target": ["", "x"], "config": {"N": 1.5}}},
            "c": {"repository": {"type": "archive", "content": ID, "fetch": "u", "subdir": "a/b"}}}})
}

fn environments() -> Value {
    json!({
        "t": {"type": "tree", "flexible_config": ["A"], "inputs": {"{{A}}": {"env": ["@", "b", "m", "n"]}},
            "cmd": ["x", "{{A}}"], "outs": ["o"], "timeout": 5, "provides": {"path": ["o"], "vars": {"V": "{{@root}}"}}},
        "n": {"type": "nix", "expression": {"path": "n"}, "inputs": {"p": {"root": "p"}}, "mode": "shell"},
        "i": {"type": "image", "base": {"env": "n"}, "layers": [{"from": {"path": "x"}, "at": "/y"}], "run": [["x"]]},
        "c": {"type": "checkpoint", "image": {"env": "i"}, "ready": {"http": {"port": 80}}, "stop": {"cmd": ["s"]}}})
}

/// Gives the text to every reader; what comes out does not matter as long as something does.
fn read_as_everything(text: &[u8]) {
    if let Ok(spec) = Spec::parse("spec.json", text) {
        let _ = (spec.reachable(), spec.check_content_fixed());
    }
    if let Ok(file) = EnvironmentsFile::parse("ENVS", text) {
        for name in file.names() {
            let config = Config::assignment("A=../{{").unwrap();
            let _ = file.get(name).unwrap().expand(&config).map(|environment| environment.kind.sources().len());
        }
    }
    for error in [Spec::parse("spec.json", text).err(), EnvironmentsFile::parse("ENVS", text).err()] {
        let _ = error.map(|error| (error.to_string(), error.hint()));
    }
    let _ = (Description::parse(text), KeyParts::parse(text, text), Descriptor::parse(text));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::sample::select(vec!["", ".", "..", "a", "tree", "git", "file", "{{A}}", "{{", "@", ID])
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let keys = vec!["type", "a", "root", "env", "path", "inputs", "cmd", "repositories", "repository", "x-y", "{{A}}"];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let key = prop::sample::select(keys.clone()).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// Replaces one value, counted in the order in which they stand.
fn replace(value: &mut Value, at: &mut usize, new: &Value) {
    if *at == 0 {
        *value = new.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| replace(value, at, new)),
        Value::Object(object) => object.values_mut().for_each(|value| replace(value, at, new)),
        _ => {}
    }
}

#[test]
fn the_documents_that_are_mutated_are_good() {
    assert!(Spec::parse("spec.json", spec().to_string().as_bytes()).is_ok());
    let file = EnvironmentsFile::parse("ENVS", environments().to_string().as_bytes()).unwrap();
    let config = Config::assignment("A=a").unwrap();
    assert!(file.names().all(|name| file.get(name).unwrap().expand(&config).is_ok()));
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let one = r#"{"environment": ["a", "", "x"], "config": {"A": 1, "B": 2}, "repositories": {"a": {"bindings": {},
        "repository": {"type": "git tree", "id": "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "cmd": ["x"]}}}}"#;
    let other = r#"{"repositories": {"a": {"repository": {"cmd": ["x"], "type": "git tree",
        "id": "4b825dc642cb6eb9a060e54bf8d69288fbee4904"}}}, "config": {"B": 2, "A": 1}, "environment": ["a", ".", "x"]}"#;
    let parse = |text: &str| Spec::parse("spec.json", text.as_bytes()).unwrap();
    assert_eq!(parse(one), parse(other));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_json_makes_a_reader_panic(value in any_json()) {
        read_as_everything(value.to_string().as_bytes());
    }

    #[test]
    fn no_value_in_a_good_document_makes_a_reader_panic(at in 0..60_usize, new in any_json()) {
        for mut document in [spec(), environments()] {
            replace(&mut document, &mut at.clone(), &new);
            read_as_everything(document.to_string().as_bytes());
        }
    }

    #[test]
    fn no_bytes_in_a_good_document_make_a_reader_panic(
        at in any::<prop::sample::Index>(), removed in 0..4_usize, new in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        for document in [spec(), environments()] {
            let mut text = document.to_string().into_bytes();
            let start = at.index(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, new.clone());
            read_as_everything(&text);
        }
    }
}
