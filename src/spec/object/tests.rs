use serde_json::json;

use super::*;

fn node(value: Value) -> Node {
    Node::new(Place::new("spec.json").key("here"), value)
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    let error = node(json!({"comit": 1})).object_with(&["branch", "commit"]).unwrap_err();
    assert!(matches!(error, SpecError::UnknownKey { .. }));
    assert_eq!(error.to_string(), "spec.json: here: unknown key `comit`; did you mean `commit`?");
}

#[test]
fn keys_that_begin_with_x_are_left_alone() {
    assert!(node(json!({"x-note": 1})).object_with(&[]).is_ok());
}

#[test]
fn a_missing_key_is_named() {
    let error = node(json!({})).object_with(&["id"]).unwrap().required("id", Node::text).unwrap_err();
    assert!(matches!(error, SpecError::MissingKey { key: "id", .. }));
    assert_eq!(error.to_string(), "spec.json: here: the key `id` is missing");
}

#[test]
fn a_wrong_type_is_told_with_what_was_found() {
    let error = node(json!({"cmd": ["a", 1]})).object_with(&["cmd"]).unwrap().required("cmd", Node::command);
    assert_eq!(error.unwrap_err().to_string(), "spec.json: here.cmd[1]: a string is expected, but this is a number");
    assert!(matches!(node(json!([])).boolean(), Err(SpecError::WrongType { found: "a list", .. })));
    assert!(matches!(node(json!(null)).members(), Err(SpecError::WrongType { found: "null", .. })));
}

#[test]
fn what_no_process_can_be_given_is_refused() {
    for bad in [json!([]), json!([""]), json!(["a\0b"])] {
        assert!(matches!(node(bad).command(), Err(SpecError::Invalid { .. })));
    }
    for bad in [json!({"": ""}), json!({"A=B": ""}), json!({"A": "\0"})] {
        assert!(matches!(node(bad).variables(), Err(SpecError::Invalid { .. })));
    }
    for bad in [json!(0), json!(-1), json!(1.5), json!(1e300)] {
        assert!(matches!(node(bad).seconds(), Err(SpecError::Invalid { .. })));
    }
}
