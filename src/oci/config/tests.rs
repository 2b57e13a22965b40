use super::*;

fn config() -> ImageConfig {
    ImageConfig {
        created: Some("1970-01-01T00:00:00Z".into()),
        diff_ids: vec![OciDigest::of(b"a")],
        history: vec![
            History { created_by: Some("sh".into()), ..History::default() },
            History { empty_layer: true, ..History::default() },
        ],
        execution: Execution {
            env: vec!["PATH=/bin".into(), "EMPTY=".into()],
            entrypoint: vec!["/bin/sh".into()],
            cmd: vec!["-c".into(), "true".into()],
            user: "0:0".into(),
            working_dir: "/".into(),
            exposed_ports: BTreeSet::from(["80/tcp".into()]),
            volumes: BTreeSet::from(["/data".into()]),
            labels: BTreeMap::from([("a".into(), "b".into())]),
            stop_signal: "SIGRTMIN+3".into(),
            others: Map::new(),
        },
        ..ImageConfig::new(Platform::linux("amd64"))
    }
}

#[test]
fn what_was_written_is_read_again() {
    let written = config().canonical();
    assert_eq!(ImageConfig::parse(&written).expect("valid"), config());
    let bare = ImageConfig::new(Platform::linux("arm64"));
    assert_eq!(ImageConfig::parse(&bare.canonical()).expect("valid"), bare);
}

#[test]
fn the_form_of_a_configuration_does_not_change() {
    let bare = ImageConfig::new(Platform::linux("amd64")).canonical();
    let expected = r#"{"architecture":"amd64","config":{},"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#;
    assert_eq!(String::from_utf8(bare).expect("JSON"), expected);
    let written = String::from_utf8(config().canonical()).expect("JSON");
    assert!(
        written.contains(r#""ExposedPorts":{"80/tcp":{}}"#) && written.contains(r#""WorkingDir":"/""#),
        "{written}"
    );
    assert!(written.contains(r#""history":[{"created_by":"sh"},{"empty_layer":true}]"#), "{written}");
}

#[test]
fn what_docker_writes_is_read_and_what_matters_kept() {
    let written = r#"{"architecture":"amd64","os":"linux","docker_version":"20.10","container":"x",
        "config":{"Hostname":"","Env":["A=b"],"Cmd":null,"Volumes":null,"Labels":null,"Entrypoint":null,"User":"",
                  "Healthcheck":{"Test":["CMD","true"],"Interval":1000000000}},
        "history":null,"rootfs":{"type":"layers","diff_ids":null}}"#;
    let read = ImageConfig::parse(written.as_bytes()).expect("valid");
    assert_eq!(read.execution.env, ["A=b"]);
    assert!(read.execution.cmd.is_empty() && read.execution.volumes.is_empty());
    assert_eq!(read.execution.others["Healthcheck"]["Test"][1], "true");
    let again = ImageConfig::parse(&read.canonical()).expect("valid");
    assert_eq!(again, read);
}

#[test]
fn configurations_that_start_nothing_are_refused() {
    let good = String::from_utf8(config().canonical()).expect("JSON");
    for (from, to) in [
        ("\"PATH=/bin\"", "\"PATH\""),
        ("\"PATH=/bin\"", "\"=x\""),
        ("\"PATH=/bin\"", "\"PATH=\\u0000\""),
        ("\"PATH=/bin\"", "1"),
        ("\"/bin/sh\"", "\"/bin/sh\\u0000\""),
        ("[\"/bin/sh\"]", "\"/bin/sh\""),
        ("80/tcp", "80/http"),
        ("80/tcp", "65536/tcp"),
        ("80/tcp", "/tcp"),
        ("SIGRTMIN+3", "SIG TERM"),
        ("\"type\":\"layers\"", "\"type\":\"files\""),
        ("sha256:", "md5:"),
        ("\"os\":\"linux\"", "\"os\":\"\""),
        ("\"os\":\"linux\",", ""),
        ("\"Env\":", "\"Env\":[],\"Env\":"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(ImageConfig::parse(bad.as_bytes()).is_err(), "{to}");
    }
    for bad in ["", "not JSON", "[]", "{}"] {
        assert!(ImageConfig::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let many = ImageConfig { diff_ids: vec![OciDigest::of(b"a"); MAX_DESCRIPTORS + 1], ..config() };
    assert!(matches!(ImageConfig::parse(&many.canonical()), Err(DocumentError::TooMany { what: "layers", .. })));
}
