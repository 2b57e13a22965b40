use proptest::prelude::*;
use serde_json::json;

use super::*;

fn expand(value: Value) -> Result<Value, SpecError> {
    let config = json!({"A": "text", "N": 1.5, "B": true, "L": [], "O": {}, "HIDDEN": "x", "BRACES": "{{@root}}{"});
    let config = Config::from_value("spec.json", config).unwrap();
    let flexible = ["A", "N", "B", "L", "O", "UNSET", "BRACES"].map(str::to_owned);
    let body = Node::new(Place::new("ENVS").key("env"), value);
    Expander { config: &config, flexible: &flexible }.definition(body).map(|node| node.value)
}

fn refused(value: Value) -> (SpecError, String) {
    let error = expand(value).unwrap_err();
    let text = error.to_string();
    (error, text)
}

#[test]
fn strings_numbers_and_booleans_become_their_text() {
    assert_eq!(expand(json!(["{{A}}-{{N}}/{{B}}{{A}}", 1, null])).unwrap(), json!(["text-1.5/truetext", 1, null]));
}

#[test]
fn keys_are_expanded_like_values() {
    assert_eq!(
        expand(json!({"inputs": {"{{A}}/x": {"env": "{{A}}"}}})).unwrap(),
        json!({"inputs": {"text/x": {"env": "text"}}})
    );
}

#[test]
fn four_braces_are_two_and_one_is_itself() {
    let cases = [
        ("{{{{A}}", "{{A}}"),
        ("{", "{"),
        ("{A}}", "{A}}"),
        ("{{{A}}", "{text"),
        ("{{{{{{A}}", "{{text"),
        ("}}", "}}"),
    ];
    for (text, expected) in cases {
        assert_eq!(expand(json!(text)).unwrap(), json!(expected), "{text}");
    }
}

#[test]
fn a_variable_that_is_not_declared_is_told_with_the_nearest() {
    let (error, text) = refused(json!({"cmd": ["x", "{{UNSETT}}"]}));
    assert!(matches!(error, SpecError::UnknownVariable { .. }));
    assert_eq!(
        text,
        "ENVS: env.cmd[1]: `UNSETT` is not among the variables of `flexible_config`; did you mean `UNSET`?"
    );
    let (error, _) = refused(json!("{{HIDDEN}}"));
    assert_eq!(error.hint().unwrap(), "add `HIDDEN` to `flexible_config`, or write `{{{{` for two literal braces");
}

#[test]
fn a_variable_without_a_value_is_told_with_the_option_that_sets_it() {
    let (error, text) = refused(json!({"{{UNSET}}": 1}));
    assert!(matches!(error, SpecError::UnsetVariable { .. }));
    assert!(text.starts_with("ENVS: env.") && text.contains("`UNSET`"), "{text}");
    assert_eq!(error.hint().unwrap(), "give it a value with `-c UNSET=…`");
}

#[test]
fn lists_and_objects_have_no_text() {
    for (variable, found) in [("L", "a list"), ("O", "an object")] {
        let (error, text) = refused(json!({"cmd": [format!("{{{{{variable}}}}}")]}));
        assert!(matches!(error, SpecError::NotText { .. }));
        assert_eq!(text, format!("ENVS: env.cmd[0]: the variable `{variable}` is {found}, which has no text form"));
    }
}

#[test]
fn braces_that_are_not_closed_are_refused() {
    let (error, text) = refused(json!({"file": "a{{A"}));
    assert!(matches!(error, SpecError::Invalid { .. }));
    assert!(text.starts_with("ENVS: env.file: `a{{A`"), "{text}");
}

#[test]
fn keys_that_become_the_same_are_refused() {
    let (error, text) = refused(json!({"env": {"text": 1, "{{A}}": 2}}));
    assert!(matches!(error, SpecError::Invalid { .. }));
    assert!(text.contains("`text`"), "{text}");
}

#[test]
fn the_root_stays_in_the_variables_provided_and_stands_nowhere_else() {
    let kept = json!({"provides": {"vars": {"HOME": "{{@root}}/{{A}}"}}});
    assert_eq!(expand(kept).unwrap(), json!({"provides": {"vars": {"HOME": "{{@root}}/text"}}}));
    for elsewhere in [
        json!({"provides": {"path": ["{{@root}}"]}}),
        json!({"vars": "{{@root}}"}),
        json!("{{@root}}"),
        json!({"provides": {"vars": {"{{@root}}": ""}}}),
    ] {
        let (error, text) = refused(elsewhere);
        assert!(matches!(error, SpecError::Invalid { .. }) && text.contains("`provides`"), "{text}");
    }
}

#[test]
fn braces_of_a_value_are_never_taken_for_the_root() {
    let expanded = expand(json!({"provides": {"vars": {"V": "{{BRACES}}{{@root}}"}}})).unwrap();
    let text = expanded["provides"]["vars"]["V"].as_str().unwrap();
    let pieces = pieces(text).unwrap();
    assert_eq!(pieces, [Piece::Text("{{@root}}{".into()), Piece::Variable(ROOT), Piece::Text(String::new())]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn an_escaped_text_is_itself(before in "[{}a@é]{0,12}", after in "[{}a]{0,12}") {
        let text = format!("{}{{{{@root}}}}{}", escaped(&before), escaped(&after));
        let expected = [Piece::Text(before), Piece::Variable(ROOT), Piece::Text(after)];
        prop_assert_eq!(pieces(&text).unwrap(), expected);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[{}aA@é]{0,24}") {
        let _ = expand(json!({"provides": {"vars": {"V": &text}}, &text: text}));
    }
}
