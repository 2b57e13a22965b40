use serde_json::{Value, json};

use super::*;

const ID: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

fn tree() -> Value {
    json!({"type": "git tree", "id": ID, "cmd": ["true"]})
}

fn computed(repo: &str) -> Value {
    json!({"type": "computed", "repo": repo, "target": ["", "x"]})
}

/// A spec with these repositories, each a name, a root and the names that it binds.
fn spec(repositories: &[(&str, Value, &[&str])]) -> Result<Spec, SpecError> {
    let described = repositories.iter().map(|(name, root, bound)| {
        let bindings: BTreeMap<_, _> = bound.iter().map(|name| (*name, *name)).collect();
        (name.to_string(), json!({"repository": root, "bindings": bindings}))
    });
    let described: serde_json::Map<_, _> = described.collect();
    parse(&json!({"environment": ["a", "", "x"], "repositories": described}))
}

fn parse(value: &Value) -> Result<Spec, SpecError> {
    Spec::parse("spec.json", value.to_string().as_bytes())
}

#[test]
fn the_example_of_the_design_is_read() {
    let text = json!({"environment": ["tools", "", "toolchain"], "config": {"ARCH": "x86_64"},
        "properties": {"OSFamily": "linux"}, "x-note": ["anything"],
        "repositories": {
            "tools": {"repository": {"type": "git", "repository": "https://example.org/envs.git", "branch": "main",
                "commit": ID, "subdir": "."}, "bindings": {"wheels": "wheels"}},
            "wheels": {"repository": tree(), "environments_file": "WHEELS"}}});
    let spec = parse(&text).unwrap();
    assert_eq!(spec.environment, Target::new("tools", ".", "toolchain").unwrap());
    assert_eq!(spec.repositories["tools"].environments_file, "ENVS");
    assert_eq!(spec.repositories["wheels"].environments_file, "WHEELS");
    assert_eq!(spec.reachable().bound, ["tools", "wheels"]);
    assert!(spec.check_content_fixed().is_ok());
}

#[test]
fn bindings_are_followed_depth_first_and_may_lead_in_circles() {
    let spec = spec(&[
        ("a", tree(), &["b", "d"]),
        ("b", tree(), &["c"]),
        ("c", tree(), &["a"]),
        ("d", tree(), &[]),
        ("stray", tree(), &[]),
    ]);
    let spec = spec.unwrap();
    assert_eq!(spec.reachable(), Reach { bound: vec!["a", "b", "c", "d"], referred: vec![] });
}

#[test]
fn what_a_root_is_made_from_is_reached_too() {
    let shape = json!({"type": "tree structure", "repo": "d"});
    let spec = spec(&[
        ("a", computed("b"), &[]),
        ("b", tree(), &["c"]),
        ("c", shape, &[]),
        ("d", tree(), &["e"]),
        ("e", tree(), &[]),
    ]);
    assert_eq!(spec.unwrap().reachable(), Reach { bound: vec!["a"], referred: vec!["b", "c", "d"] });
}

#[test]
fn a_bare_directory_is_refused_wherever_it_is_reached() {
    let file = json!({"type": "file", "path": "/src"});
    for root in [tree(), computed("b")] {
        let bound: &[&str] = if root["type"] == "computed" { &[] } else { &["b"] };
        let error = spec(&[("a", root, bound), ("b", tree(), &["c"]), ("c", file.clone(), &[])]);
        let error = error.unwrap().check_content_fixed().unwrap_err();
        assert!(matches!(&error, SpecError::NotContentFixed { repository, .. } if repository == "c"));
        assert!(error.to_string().contains("repository `c`"), "{error}");
        assert!(error.hint().unwrap().contains("\"pragma\": {\"to_git\": true}"));
    }
    let fixed = json!({"type": "file", "path": "/src", "pragma": {"to_git": true}});
    assert!(spec(&[("a", tree(), &["c"]), ("c", fixed, &[])]).unwrap().check_content_fixed().is_ok());
    assert!(spec(&[("a", tree(), &[]), ("c", file, &[])]).unwrap().check_content_fixed().is_ok());
}

#[test]
fn a_repository_that_is_not_there_is_told_with_the_nearest() {
    let place = |error: Result<Spec, SpecError>| match error.unwrap_err() {
        error @ SpecError::UnknownRepository { .. } => error.to_string(),
        other => panic!("{other:?}"),
    };
    let spell = "did you mean `wheels`?";
    let with = |name: &str, root: Value, bound: &[&str]| spec(&[(name, root, bound), ("wheels", tree(), &[])]);
    let binding = place(with("a", tree(), &["wheel"]));
    assert_eq!(binding, format!("spec.json: repositories.a.bindings.wheel: there is no repository `wheel`; {spell}"));
    assert!(place(with("a", computed("wheelz"), &[])).ends_with(spell));
    assert!(place(with("a", json!({"type": "distdir", "repositories": ["weels"]}), &[])).ends_with(spell));
    assert!(place(with("b", tree(), &[])).starts_with("spec.json: environment[0]: there is no repository `a`"));
    let moved = with("a", tree(), &[]).unwrap().with_environment("-e", Target::new("whels", "", "x").unwrap());
    assert!(place(moved).ends_with(spell));
}

#[test]
fn a_root_that_is_made_from_itself_is_refused() {
    let circles = [
        spec(&[("a", computed("a"), &[])]),
        spec(&[("a", tree(), &["b"]), ("b", computed("c"), &[]), ("c", tree(), &["b"])]),
        spec(&[("a", computed("b"), &[]), ("b", json!({"type": "tree structure", "repo": "a"}), &[])]),
    ];
    for circle in circles {
        assert!(matches!(circle, Err(SpecError::RootCycle { .. })), "{circle:?}");
    }
    assert!(spec(&[("a", tree(), &["b"]), ("b", computed("c"), &["a"]), ("c", tree(), &[])]).is_ok());
}

#[test]
fn what_is_not_a_spec_is_told_with_its_place() {
    let good = || json!({"environment": ["a", "", "x"], "repositories": {"a": {"repository": tree()}}});
    let cases: [(&str, Value, &str); 8] = [
        ("/environment", json!(["a", "x"]), "spec.json: environment: "),
        ("/environment/1", json!("../x"), "spec.json: environment[1]: `../x`"),
        ("/environment/2", json!(""), "spec.json: environment[2]: "),
        ("/repositories", json!([]), "spec.json: repositories: an object is expected, but this is a list"),
        ("/repositories/a", json!({}), "spec.json: repositories.a: the key `repository` is missing"),
        ("/repositories/a/environments_file", json!("a/b"), "spec.json: repositories.a.environments_file: `a/b`"),
        ("/repositories/a/bindings", json!({"": "a"}), "spec.json: repositories.a.bindings: "),
        ("/enviroment", json!(1), "spec.json: unknown key `enviroment`; did you mean `environment`?"),
    ];
    for (pointer, value, expected) in cases {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut spec = good();
        match spec.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
            object => object[key] = value,
        }
        let text = parse(&spec).unwrap_err().to_string();
        assert!(text.starts_with(expected), "{pointer}: {text}");
    }
    assert!(matches!(parse(&json!({})), Err(SpecError::MissingKey { key: "environment", .. })));
}

#[test]
fn a_resolved_root_is_absent_and_fixed() {
    let with = |repository: Value| parse(&json!({"environment": ["a", "", "x"], "repositories": {"a": repository}}));
    let spec = with(json!({"root": ["git tree", ID], "bindings": {"b": "a"}})).unwrap();
    let root = &spec.repositories["a"].root;
    assert!(matches!(root, Root::Tree { id, .. } if id.to_string() == ID));
    assert!(root.pragma().absent && spec.check_content_fixed().is_ok());
    let both = with(json!({"root": ["git tree", ID], "repository": tree()})).unwrap_err();
    assert!(matches!(&both, SpecError::Invalid { place, .. } if place.path() == "repositories.a.root"), "{both}");
    let neither = with(json!({})).unwrap_err();
    assert!(matches!(neither, SpecError::MissingKey { key: "repository", .. }), "{neither}");
    let bad = [
        json!(ID),
        json!(["git tree"]),
        json!(["file", ID]),
        json!(["git tree", "1"]),
        json!(["git tree", ID, 1]),
        json!({}),
    ];
    for root in bad {
        assert!(with(json!({"root": root})).is_err(), "{root}");
    }
}
