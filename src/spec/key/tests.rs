use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::spec::description::ResolvedRepository;
use crate::spec::git_id::GitId;

type Repositories = BTreeMap<String, ResolvedRepository>;

fn config(value: Value) -> Config {
    Config::from_value("spec.json", value).unwrap()
}

fn repositories(count: usize, shape: &[(u8, usize, usize)]) -> Repositories {
    let repository = |(i, (root, a, b)): (usize, &(u8, usize, usize))| {
        let bindings = [("a", a), ("b", b)].map(|(name, to)| (name.to_owned(), format!("r{}", to % count))).into();
        let root = GitId::from_bytes([*root; 20]);
        (format!("r{i}"), ResolvedRepository { root, environments_file: "ENVS".into(), bindings })
    };
    shape.iter().take(count).enumerate().map(repository).collect()
}

fn parts_of(main: &str, repositories: &Repositories) -> KeyParts {
    KeyParts {
        description: Description::new(main, repositories).unwrap(),
        module: RelativePath::parse("tools").unwrap(),
        name: "toolchain".into(),
        effective_config: config(json!({"ARCH": "x86_64", "DEBUG": null})),
    }
}

fn parts() -> KeyParts {
    parts_of("r0", &repositories(2, &[(0x11, 1, 0), (0x22, 0, 0)]))
}

/// Recompute with `printf '%s' 'BYTES' | sha256sum`, for the description first, whose hash is the
/// `repo_key`; a change needs a new `KEY_VERSION`.
#[test]
fn a_key_stays_the_same_in_every_version_of_the_program() {
    let description = concat!(
        r#"{"0":{"bindings":{"a":"1","b":"0"},"environments_file":"ENVS","#,
        r#""root":["git tree","1111111111111111111111111111111111111111"]},"#,
        r#""1":{"bindings":{"a":"0","b":"0"},"environments_file":"ENVS","#,
        r#""root":["git tree","2222222222222222222222222222222222222222"]}}"#
    );
    let key = concat!(
        r#"{"effective_config":{"ARCH":"x86_64","DEBUG":null},"#,
        r#""repo_key":"5470f335f0642c7e2ea514c313302718d83135f36e8db8d7b408145e34813d67","#,
        r#""target_name":["tools","toolchain"]}"#
    );
    assert_eq!(String::from_utf8(parts().description.canonical()).unwrap(), description);
    assert_eq!(String::from_utf8(parts().canonical()).unwrap(), key);
    let hash = "8510bd1cf2056519b2d8dea368e4435714170e2fa09e838e1dea1c10d1f0a94f";
    assert_eq!(parts().key().to_string(), format!("{hash}/{}", key.len()));
    assert_eq!(KEY_VERSION, 1);
}

#[test]
fn whatever_tells_two_environments_apart_gives_two_keys() {
    let changes: [fn(&mut KeyParts); 11] = [
        |_| {},
        |parts| parts.module = RelativePath::root(),
        |parts| parts.module = RelativePath::parse("tools/toolchain").unwrap(),
        |parts| parts.name = "toolchains".into(),
        |parts| parts.effective_config = config(json!({"ARCH": "x86_64", "DEBUG": false})),
        |parts| parts.effective_config = config(json!({"ARCH": "x86_64"})),
        |parts| parts.effective_config = config(json!({"ARCH": ["x86_64"], "DEBUG": null})),
        |parts| parts.effective_config = config(json!({"ARCH": 1, "DEBUG": null})),
        |parts| parts.effective_config = config(json!({"ARCH": "1", "DEBUG": null})),
        |parts| parts.effective_config = config(json!({"ARCH": 1.5, "DEBUG": null})),
        |parts| parts.description = parts.description.rebase("1").unwrap(),
    ];
    let keys = changes.map(|change| {
        let mut parts = parts();
        change(&mut parts);
        parts.key()
    });
    assert_eq!(BTreeSet::from(keys).len(), keys.len());
}

#[test]
fn variables_that_the_environment_does_not_see_do_not_matter() {
    let flexible = ["ARCH".to_owned(), "DEBUG".to_owned()];
    let seen = |value| KeyParts { effective_config: config(value).restrict(&flexible), ..parts() }.key();
    assert_eq!(seen(json!({"ARCH": "x86_64", "JOBS": 8})), seen(json!({"JOBS": 9, "DEBUG": null, "ARCH": "x86_64"})));
    assert_ne!(seen(json!({"ARCH": "x86_64"})), seen(json!({"ARCH": "arm64"})));
}

#[test]
fn the_bytes_state_the_parts() {
    let parts = parts();
    assert_eq!(KeyParts::parse(&parts.canonical(), &parts.description.canonical()).unwrap(), parts);
}

#[test]
fn a_key_with_the_description_of_another_is_refused() {
    let (parts, other) = (parts(), parts().description.rebase("1").unwrap());
    let error = KeyParts::parse(&parts.canonical(), &other.canonical()).unwrap_err();
    assert!(matches!(error, SpecError::ForeignDescription { .. }));
    assert!(error.to_string().contains(&other.digest().hash()), "{error}");
}

#[test]
fn a_key_in_any_other_form_is_refused() {
    let good = String::from_utf8(parts().canonical()).unwrap();
    let description = parts().description.canonical();
    let parse = |text: String| KeyParts::parse(text.as_bytes(), &description).unwrap_err();
    for (from, to) in [(",", ", "), ("\"tools\"", "\"tools\" "), ("null", "1.0"), ("{\"eff", "{\"x-a\":1,\"eff")] {
        assert!(matches!(parse(good.replacen(from, to, 1)), SpecError::NotCanonical { .. }), "{from}");
    }
    for (from, to) in [("null", "9007199254740993"), ("ARCH", "A-B"), ("tools", "../tools"), ("[\"tools\",", "[")] {
        assert!(matches!(parse(good.replacen(from, to, 1)), SpecError::Invalid { .. }), "{from}");
    }
    assert!(matches!(parse(good.replace("target_name", "target")), SpecError::UnknownKey { .. }));
}

#[test]
fn a_digest_of_another_function_is_no_key() {
    assert!(EnvKey::try_from(DigestFunction::Blake3.empty()).is_err());
    assert_eq!(EnvKey::try_from(parts().key().digest()).unwrap(), parts().key());
}

fn shapes() -> impl Strategy<Value = Vec<(u8, usize, usize)>> {
    prop::collection::vec((0..3_u8, 0..1000_usize, 0..1000_usize), 1..10)
}

/// The same repositories under other names, which are in another order.
fn renamed(repositories: &Repositories) -> Repositories {
    let name = |old: &str| {
        let number: usize = old[1..].parse().unwrap();
        format!("{}-{old}", 999 - number)
    };
    let repository = |(old, repository): (&String, &ResolvedRepository)| {
        let bindings = repository.bindings.iter().map(|(binding, bound)| (binding.clone(), name(bound))).collect();
        (name(old), ResolvedRepository { bindings, ..repository.clone() })
    };
    repositories.iter().map(repository).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn names_and_order_do_not_matter(shape in shapes()) {
        let repositories = repositories(shape.len(), &shape);
        prop_assert_eq!(parts_of("r0", &repositories).key(), parts_of("999-r0", &renamed(&repositories)).key());
    }

    #[test]
    fn duplicates_do_not_matter(shape in shapes(), redirected in any::<u64>()) {
        let count = shape.len();
        let single = repositories(count, &shape);
        let twice: Vec<_> = shape.iter().chain(&shape).enumerate().map(|(i, (root, a, b))| {
            let copy = |to: usize, bit: usize| to % count + count * usize::from(redirected >> (2 * i + bit) & 1 == 1);
            (*root, copy(*a, 0), copy(*b, 1))
        }).collect();
        prop_assert_eq!(parts_of("r0", &single).key(), parts_of("r0", &repositories(2 * count, &twice)).key());
    }

    #[test]
    fn every_reached_property_matters(shape in shapes(), at in any::<prop::sample::Index>(), change in 0..4) {
        let before = parts_of("r0", &repositories(shape.len(), &shape));
        let mut changed = before.description.repositories().clone();
        let name = at.index(changed.len()).to_string();
        let repository = changed.get_mut(&name).unwrap();
        match change {
            0 => repository.root = GitId::from_bytes([9; 20]),
            1 => repository.environments_file.push('2'),
            2 => drop(repository.bindings.insert("c".into(), "0".into())),
            _ => drop(repository.bindings.remove("a")),
        }
        prop_assert_ne!(before.key(), parts_of("0", &changed).key());
    }

    #[test]
    fn the_canonical_form_is_read_back(shape in shapes()) {
        let parts = parts_of("r0", &repositories(shape.len(), &shape));
        prop_assert_eq!(&KeyParts::parse(&parts.canonical(), &parts.description.canonical()).unwrap(), &parts);
    }
}
