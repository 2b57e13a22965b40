use super::*;

fn path(text: &str) -> RelativePath {
    RelativePath::parse(text).expect("relative")
}

fn attributes() -> Attributes {
    let metadata = Metadata {
        mode: Some(0o4755),
        uid: 1000,
        gid: u32::MAX,
        mtime: MAX_TIME,
        xattrs: BTreeMap::from([("security.capability".into(), vec![1, 0, 10]), ("user.é".into(), Vec::new())]),
    };
    let exceptions = [
        ("", Exception::Node(Metadata::default())),
        ("bin/ping", Exception::Node(metadata.clone())),
        ("dev/null", Exception::Special(Special::Char { major: 1, minor: 3 }, metadata.clone())),
        ("dev/sda", Exception::Special(Special::Block { major: 8, minor: 0 }, Metadata::default())),
        ("etc", Exception::Implied { opaque: false }),
        ("etc/gone", Exception::Whiteout),
        ("opt", Exception::Implied { opaque: true }),
        ("run/fifo", Exception::Special(Special::Fifo, Metadata::default())),
        ("usr/bin/ping", Exception::HardLink { target: path("bin/ping") }),
        ("var", Exception::Opaque(metadata)),
    ];
    Attributes { exceptions: exceptions.into_iter().map(|(at, exception)| (path(at), exception)).collect() }
}

#[test]
fn what_was_written_is_read_again() {
    for written in [attributes(), Attributes::default()] {
        assert_eq!(Attributes::parse(&written.canonical()).expect("valid"), written);
    }
}

#[test]
fn the_form_of_a_document_does_not_change() {
    let few = attributes().exceptions.into_iter().filter(|(path, _)| ["bin/ping", "dev/sda"].contains(&path.as_str()));
    let written = Attributes { exceptions: few.collect() }.canonical();
    let expected = r#"{"exceptions":{"bin/ping":{"gid":4294967295,"mode":2541,"mtime":9007199254740991,"uid":1000,"xattrs":{"security.capability":"AQAK","user.é":""}},"dev/sda":{"device":[8,0],"is":"block"}},"version":1}"#;
    assert_eq!(String::from_utf8(written).expect("JSON"), expected);
    assert_eq!(Attributes::default().canonical(), br#"{"exceptions":{},"version":1}"#);
}

#[test]
fn documents_that_are_not_canonical_are_refused() {
    for bad in [
        r#"{"exceptions":{}, "version":1}"#,
        r#"{"version":1,"exceptions":{}}"#,
        r#"{"exceptions":{"a":{"uid":0}},"version":1}"#,
        r#"{"exceptions":{"b":{},"a":{}},"version":1}"#,
        r#"{"exceptions":{".":{}},"version":1}"#,
        r#"{"exceptions":{"a":{"is":"whiteout","uid":1}},"version":1}"#,
        r#"{"exceptions":{"a":{"is":"fifo","opaque":true}},"version":1}"#,
        r#"{"exceptions":{"a":{"device":[1,2]}},"version":1}"#,
    ] {
        assert!(matches!(Attributes::parse(bad.as_bytes()), Err(AttributesError::NotCanonical)), "{bad}");
    }
}

#[test]
fn documents_of_what_cannot_be_are_refused() {
    let of = |fields: &str| format!(r#"{{"exceptions":{{"a":{fields}}},"version":1}}"#);
    Attributes::parse(of(r#"{"uid":1}"#).as_bytes()).expect("valid");
    for bad in [
        r#"{"mode":4096}"#,
        r#"{"mtime":9007199254740992}"#,
        r#"{"device":[4096,0],"is":"char"}"#,
        r#"{"device":[1,1048576],"is":"block"}"#,
        r#"{"is":"char"}"#,
        r#"{"is":"link"}"#,
        r#"{"xattrs":{"user.a":"?"}}"#,
        r#"{"xattrs":{"user.":""}}"#,
        r#"{"xattrs":{"user.a=b":""}}"#,
        r#"{"xattrs":{"trusted.overlay.opaque":"eQ=="}}"#,
    ] {
        let error = Attributes::parse(of(bad).as_bytes());
        assert!(matches!(error, Err(AttributesError::Exception { .. })), "{bad}: {error:?}");
    }
    for bad in
        [r#"{"uid":-1}"#, r#"{"uid":4294967296}"#, r#"{"x":1}"#, r#"{"is":"door"}"#, r#"{"is":"link","target":"../b"}"#]
    {
        let error = Attributes::parse(of(bad).as_bytes());
        assert!(matches!(error, Err(AttributesError::Malformed { .. })), "{bad}: {error:?}");
    }
    for (bad, good) in [("\"/a\"", "\"a\""), ("\"a/../b\"", "\"a\"")] {
        let text = of(r#"{"uid":1}"#).replace(good, bad);
        assert!(matches!(Attributes::parse(text.as_bytes()), Err(AttributesError::Exception { .. })), "{bad}");
    }
    let twice = r#"{"exceptions":{"a":{},"a":{}},"version":1}"#;
    assert!(matches!(Attributes::parse(twice.as_bytes()), Err(AttributesError::Json { .. })));
    let newer = r#"{"exceptions":{},"version":2}"#;
    assert!(matches!(Attributes::parse(newer.as_bytes()), Err(AttributesError::Version { found: 2 })));
}
