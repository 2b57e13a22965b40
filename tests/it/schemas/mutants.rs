//! Documents with one change: a value of another form, a field more or less, an element more or less.

use serde_json::{Value, json};

/// What values are replaced by.
fn values() -> Vec<Value> {
    let texts = ["", "x", ".", "../x", "/x", "a/b", "a//b", "A=b", "a\0b", "{{V}}", "a b"];
    let ids = ["0A".repeat(20), "01".repeat(20), "01".repeat(32)];
    let mut values: Vec<Value> = texts.into_iter().map(Value::from).chain(ids.into_iter().map(Value::from)).collect();
    values.extend([
        json!(null),
        json!(true),
        json!(0),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(60.0),
        json!(70_000),
        json!(1e300),
    ]);
    values.extend([json!([]), json!(["x"]), json!([""]), json!(["x", "y"]), json!([7])]);
    values.extend([json!({}), json!({"x": "y"}), json!({"x": 1}), json!({"": "x"}), json!({"x-a": 1})]);
    values
}

/// What is added to objects: what means nothing anywhere, and what means something in one place and not beside others.
fn added() -> Vec<(&'static str, Value)> {
    vec![
        ("unknown", json!("x")),
        ("x-unknown", json!("x")),
        ("$schema", json!("x")),
        ("root", json!("r")),
        ("env", json!("n")),
        ("path", json!("p")),
        ("image", json!("i")),
        ("repository", json!({"type": "file", "path": "."})),
        ("cmd", json!(["x"])),
        ("outs", json!(["x"])),
        ("timeout", json!(5)),
        ("tcp", json!(80)),
        ("log", json!("x")),
        ("signal", json!("SIGINT")),
        ("to_git", json!(true)),
        ("absent", json!(true)),
    ]
}

/// Returns a document with every single change at or below a place.
pub(super) fn mutants(document: &Value, below: &str) -> Vec<Value> {
    let mut pointers = Vec::new();
    places(document.pointer(below).expect("there"), below, &mut pointers);
    let mut mutants: Vec<Value> = Vec::new();
    for pointer in &pointers {
        let part = document.pointer(pointer).expect("there");
        for changed in values().into_iter().chain(changes(part)) {
            let mut mutant = document.clone();
            *mutant.pointer_mut(pointer).expect("there") = changed;
            mutants.push(mutant);
        }
    }
    mutants
}

/// Collects the places of all values.
fn places(value: &Value, here: &str, places_so_far: &mut Vec<String>) {
    places_so_far.push(here.to_owned());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| places(value, &format!("{here}/{}", escaped(key)), places_so_far));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, value)| places(value, &format!("{here}/{at}"), places_so_far));
        }
        _ => {}
    }
}

/// Returns a list or an object with a member more, or less, or of another name.
fn changes(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(object) => {
            let mut changed = Vec::new();
            for key in object.keys() {
                let mut without = object.clone();
                let member = without.remove(key).expect("there");
                changed.push(Value::Object(without.clone()));
                without.insert(format!("{key}e"), member);
                changed.push(Value::Object(without));
            }
            for (key, value) in added().into_iter().filter(|(key, _)| !object.contains_key(*key)) {
                let mut more = object.clone();
                more.insert(key.to_owned(), value);
                changed.push(Value::Object(more));
            }
            changed
        }
        Value::Array(list) => {
            let more: Vec<Value> =
                list.iter().cloned().chain([list.first().cloned().unwrap_or_else(|| json!("x"))]).collect();
            let less: Vec<Value> = list.iter().skip(1).cloned().collect();
            vec![more.into(), less.into()]
        }
        _ => Vec::new(),
    }
}
