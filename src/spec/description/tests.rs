use super::*;

fn id(byte: u8) -> GitId {
    GitId::from_bytes([byte; 20])
}

/// A repository: its name, its root and what it binds.
type Described<'a> = (&'a str, u8, &'a [(&'a str, &'a str)]);

fn repositories(described: &[Described<'_>]) -> BTreeMap<String, ResolvedRepository> {
    let repository = |(name, root, bindings): &Described<'_>| {
        let bindings = bindings.iter().map(|(binding, bound)| (binding.to_string(), bound.to_string())).collect();
        (name.to_string(), ResolvedRepository { root: id(*root), environments_file: "ENVS".into(), bindings })
    };
    described.iter().map(repository).collect()
}

fn describe(described: &[Described<'_>]) -> Description {
    Description::new(described[0].0, &repositories(described)).unwrap()
}

/// Recompute the hash with `printf '%s' 'EXPECTED BYTES' | sha256sum`; a change needs a new `KEY_VERSION`.
#[test]
fn a_description_stays_the_same_in_every_version_of_the_program() {
    let description = describe(&[
        ("tools", 0x11, &[("wheels", "w"), ("base", "b"), ("again", "w2")]),
        ("b", 0x22, &[("tools", "tools")]),
        ("w", 0x33, &[]),
        ("w2", 0x33, &[]),
        ("stray", 0x44, &[]),
    ]);
    let bytes = concat!(
        r#"{"0":{"bindings":{"again":"1","base":"2","wheels":"1"},"environments_file":"ENVS","#,
        r#""root":["git tree","1111111111111111111111111111111111111111"]},"#,
        r#""1":{"bindings":{},"environments_file":"ENVS","#,
        r#""root":["git tree","3333333333333333333333333333333333333333"]},"#,
        r#""2":{"bindings":{"tools":"0"},"environments_file":"ENVS","#,
        r#""root":["git tree","2222222222222222222222222222222222222222"]}}"#
    );
    assert_eq!(String::from_utf8(description.canonical()).unwrap(), bytes);
    assert_eq!(description.digest().hash(), "9f4b3b6282f142f2f927d3b47c133a1a93b7834df7b81cec80c612990c48771e");
}

#[test]
fn a_circle_is_the_same_however_often_it_is_written_out() {
    let once = describe(&[("a", 1, &[("next", "a")])]);
    let thrice = describe(&[("x", 1, &[("next", "y")]), ("y", 1, &[("next", "z")]), ("z", 1, &[("next", "x")])]);
    assert_eq!(once, thrice);
    let two = describe(&[("x", 1, &[("next", "y")]), ("y", 2, &[("next", "x")])]);
    let four = describe(&[
        ("x", 1, &[("next", "y")]),
        ("y", 2, &[("next", "z")]),
        ("z", 1, &[("next", "w")]),
        ("w", 2, &[("next", "x")]),
    ]);
    assert_eq!(two, four);
    assert_ne!(two, once);
}

#[test]
fn repositories_that_differ_in_one_thing_only_stay_apart() {
    let same = repositories(&[
        ("m", 1, &[("p", "p"), ("q", "q")]),
        ("p", 2, &[("x", "leaf")]),
        ("q", 2, &[("x", "leaf")]),
        ("leaf", 3, &[]),
    ]);
    let count = |repositories: &BTreeMap<_, _>| Description::new("m", repositories).unwrap().repositories().len();
    assert_eq!(count(&same), 3);
    let changes: [fn(&mut ResolvedRepository); 4] = [
        |q| q.root = id(4),
        |q| q.environments_file = "ENV".into(),
        |q| q.bindings = BTreeMap::from([("y".into(), "leaf".into())]),
        |q| q.bindings = BTreeMap::from([("x".into(), "m".into())]),
    ];
    for change in changes {
        let mut changed = same.clone();
        change(changed.get_mut("q").unwrap());
        assert_eq!(count(&changed), 4);
    }
}

#[test]
fn names_are_given_depth_first_and_not_breadth_first() {
    let description =
        describe(&[("m", 1, &[("a", "p"), ("b", "q")]), ("p", 2, &[("x", "r")]), ("q", 3, &[]), ("r", 4, &[])]);
    let roots: Vec<_> = ["0", "1", "2", "3"].map(|name| description.repository(name).unwrap().root).into();
    assert_eq!(roots, [id(1), id(2), id(4), id(3)]);
    assert_eq!(description.binding("b"), Some("3"));
}

#[test]
fn a_description_seen_from_a_repository_in_it_is_that_repositorys_own() {
    let all = [("m", 1, &[("a", "p"), ("b", "q")] as &[_]), ("p", 2, &[("up", "q")]), ("q", 3, &[("p", "p")])];
    let (whole, own) = (describe(&all), Description::new("q", &repositories(&all)).unwrap());
    assert_eq!(whole.rebase(whole.binding("b").unwrap()).unwrap(), own);
    assert_eq!(whole.rebase("0").unwrap(), whole);
    assert!(matches!(whole.rebase("7"), Err(SpecError::UnknownRepository { .. })));
}

#[test]
fn the_bytes_state_the_description() {
    let description = describe(&[("m", 1, &[("a", "p")]), ("p", 2, &[("m", "m")])]);
    assert_eq!(Description::parse(&description.canonical()).unwrap(), description);
}

#[test]
fn a_description_in_any_other_form_is_refused() {
    let repository = |root: u8, bindings: &str| {
        format!(r#"{{"bindings":{bindings},"environments_file":"ENVS","root":["git tree","{}"]}}"#, id(root))
    };
    let empty = repository(1, "{}");
    let leaf = repository(2, "{}");
    assert!(Description::parse(format!(r#"{{"0":{empty}}}"#).as_bytes()).is_ok());
    let others = [
        format!(r#"{{"0":{empty} }}"#),
        format!(r#"{{"0":{empty},"1":{leaf}}}"#),
        format!(r#"{{"0":{empty},"x-1":{leaf}}}"#),
        format!(r#"{{"0":{},"2":{leaf}}}"#, repository(1, r#"{"a":"2"}"#)),
        format!(r#"{{"0":{},"1":{leaf},"2":{leaf}}}"#, repository(1, r#"{"a":"1","b":"2"}"#)),
        format!(r#"{{"0":{},"1":{leaf},"2":{}}}"#, repository(1, r#"{"a":"2","b":"1"}"#), repository(3, "{}")),
        format!(r#"{{"0":{}}}"#, empty.replace(r#""root""#, r#""x-y":1,"root""#)),
    ];
    for text in others {
        let error = Description::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, SpecError::NotCanonical { .. }), "{text}: {error:?}");
    }
}

#[test]
fn what_is_no_description_is_told_with_its_place() {
    let good = String::from_utf8(describe(&[("m", 1, &[("a", "m")])]).canonical()).unwrap();
    let cases = [
        ("git tree", "file", "repository description: 0.root: "),
        (
            "\"a\":\"0\"",
            "\"a\":\"1\"",
            "repository description: 0.bindings.a: there is no repository `1`; did you mean",
        ),
        ("{\"0\"", "{\"1\"", "repository description: there is no repository `0`"),
        ("ENVS", "../ENVS", "repository description: 0.environments_file: `../ENVS`"),
        ("0101", "ABCD", "repository description: 0.root[1]: "),
        ("\"root\"", "\"roots\"", "repository description: 0: unknown key `roots`; did you mean `root`?"),
    ];
    for (from, to, expected) in cases {
        let text = Description::parse(good.replace(from, to).as_bytes()).unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn thousands_of_repositories_in_one_chain_are_described() {
    let names: Vec<_> = (0..20_000).map(|i| i.to_string()).collect();
    let repository = |(i, name): (usize, &String)| {
        let bindings = names.get(i + 1).map(|next| ("next".to_owned(), next.clone())).into_iter().collect();
        (name.clone(), ResolvedRepository { root: id(7), environments_file: "ENVS".into(), bindings })
    };
    let chain = names.iter().enumerate().map(repository).collect();
    let description = Description::new("0", &chain).unwrap();
    assert_eq!(description.repositories().len(), names.len());
    assert_eq!(Description::parse(&description.canonical()).unwrap(), description);
}
