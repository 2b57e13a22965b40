use serde_json::{Value, json};

use super::*;
use crate::spec::place::Place;

fn read(name: KindName, value: Value) -> Result<Kind, SpecError> {
    let mut object = Node::new(Place::new("ENVS").key("e"), value).object(&[name.fields()])?;
    Kind::read(name, &mut object)
}

fn refused(name: KindName, value: Value) -> (SpecError, String) {
    let error = read(name, value).unwrap_err();
    let text = error.to_string();
    (error, text)
}

#[test]
fn a_tree_of_inputs_is_read() {
    let Kind::Tree(fields) = read(KindName::Tree, json!({"inputs": {"": {"path": "src"}}})).unwrap() else { panic!() };
    assert!(fields.cmd.is_none() && fields.outs.is_empty() && fields.inputs.len() == 1);
}

#[test]
fn a_tree_made_by_a_command_is_read() {
    let kind = read(
        KindName::Tree,
        json!({"inputs": {"a": {"root": "r"}, "b/c": {"env": "e"}}, "cmd": ["make", ""], "env": {"A": ""},
            "outs": ["bin", "lib"], "timeout": 60}),
    );
    let kind = kind.unwrap();
    assert_eq!((kind.sources().len(), kind.name()), (2, KindName::Tree));
    let Kind::Tree(fields) = kind else { panic!() };
    assert_eq!((fields.cmd.unwrap(), fields.timeout), (vec!["make".to_owned(), String::new()], Some(60)));
}

#[test]
fn a_command_states_what_it_makes_and_nothing_else_does() {
    let (error, _) = refused(KindName::Tree, json!({"cmd": ["make"]}));
    assert!(matches!(error, SpecError::MissingKey { key: "outs", .. }));
    let (error, _) = refused(KindName::Tree, json!({}));
    assert!(matches!(error, SpecError::MissingKey { key: "inputs", .. }));
    for outs in [json!([]), json!([""])] {
        let (_, text) = refused(KindName::Tree, json!({"cmd": ["make"], "outs": outs}));
        assert!(text.starts_with("ENVS: e.outs: "), "{text}");
    }
    for (key, value) in [("outs", json!(["a"])), ("env", json!({})), ("timeout", json!(1))] {
        let (error, text) = refused(KindName::Tree, json!({"inputs": {}, key: value}));
        assert!(matches!(error, SpecError::Invalid { .. }));
        assert!(text.starts_with(&format!("ENVS: e.{key}: ")) && text.contains("`cmd`"), "{text}");
    }
}

#[test]
fn paths_inside_one_another_are_refused() {
    let source = || json!({"path": "x"});
    let cases = [
        (json!({"inputs": {"a": source(), "a/b": source()}}), "ENVS: e.inputs: `a/b` lies inside `a`"),
        (json!({"inputs": {"": source(), "a": source()}}), "ENVS: e.inputs: `a` lies inside `.`"),
        (json!({"inputs": {"": source(), ".": source()}}), "ENVS: e.inputs: "),
        (json!({"cmd": ["x"], "outs": ["a/b", "c", "a"]}), "ENVS: e.outs: `a/b` lies inside `a`"),
    ];
    for (value, expected) in cases {
        let (error, text) = refused(KindName::Tree, value);
        assert!(matches!(error, SpecError::Overlap { .. }));
        assert!(text.starts_with(expected), "{text}");
    }
    assert!(read(KindName::Tree, json!({"inputs": {"a": source(), "a-b": source(), "ab": source()}})).is_ok());
}

#[test]
fn a_nix_environment_is_read() {
    let kind = read(
        KindName::Nix,
        json!({"expression": {"path": "nix"}, "file": "shell.nix", "attr": "a.b", "args": {"system": "x"},
            "inputs": {"nixpkgs": {"root": "nixpkgs"}}, "outputs": ["out", "dev"], "mode": "shell"}),
    );
    let kind = kind.unwrap();
    assert_eq!(kind.sources().len(), 2);
    assert!(matches!(&kind, Kind::Nix(NixFields { mode: NixMode::Shell, .. })));
    assert!(read(KindName::Nix, json!({"expression": {"path": "nix"}})).is_ok());
}

#[test]
fn a_nix_environment_that_makes_no_sense_is_told_with_its_place() {
    let (_, text) = refused(KindName::Nix, json!({"expression": {"path": "n"}, "mode": "develop"}));
    assert_eq!(text, "ENVS: e.mode: `develop` cannot stand here: `build` or `shell` is expected");
    let (error, _) = refused(KindName::Nix, json!({"attr": "x"}));
    assert!(matches!(error, SpecError::MissingKey { key: "expression", .. }));
}

#[test]
fn an_image_is_read() {
    let kind = read(
        KindName::Image,
        json!({"base": {"env": "base"}, "layers": [{"from": {"root": "r"}, "at": "/usr/local"}, {"from": {"path": "x"}}],
            "run": [["ldconfig"], {"cmd": ["sh"], "env": {"A": "b"}}], "config": {"x-note": 1, "Entrypoint": ["sh"], "Env": ["A=b=c"],
                "Volumes": {"/data": {}}, "Labels": {"a": ""}}}),
    );
    let kind = kind.unwrap();
    assert_eq!(kind.sources().len(), 3);
    let Kind::Image(fields) = kind else { panic!() };
    assert_eq!(fields.layers[0].at.to_string(), "usr/local");
    assert!(fields.layers[1].at.is_root() && fields.config.entrypoint == Some(vec!["sh".to_owned()]));
    assert!(fields.config.env == ["A=b=c"] && fields.config.volumes.contains("/data") && fields.config.cmd.is_none());
    assert_eq!(fields.run[1].env["A"], "b");
}

#[test]
fn an_image_that_makes_no_sense_is_told_with_its_place() {
    let cases = [
        (json!({"layers": [{"from": {"path": "x"}, "at": "/../x"}]}), "ENVS: e.layers[0].at: `../x`"),
        (json!({"layers": [{"from": {"path": "x"}, "at": "//x"}]}), "ENVS: e.layers[0].at: `//x`"),
        (json!({"layers": [{"at": "x"}]}), "ENVS: e.layers[0]: the key `from` is missing"),
        (json!({"run": ["sh"]}), "ENVS: e.run[0]: a list is expected, but this is a string"),
        (json!({"config": []}), "ENVS: e.config: an object is expected"),
        (json!({"config": {"EntryPoint": []}}), "ENVS: e.config: unknown key `EntryPoint`; did you mean `Entrypoint`?"),
        (json!({"config": {"Env": {"A": "b"}}}), "ENVS: e.config.Env: a list is expected, but this is an object"),
        (json!({"config": {"Env": ["A"]}}), "ENVS: e.config.Env[0]: `A` cannot stand here: `NAME=VALUE` is expected"),
        (json!({"config": {"Cmd": "sh"}}), "ENVS: e.config.Cmd: a list is expected, but this is a string"),
        (json!({"config": {"Cmd": [1]}}), "ENVS: e.config.Cmd[0]: a string is expected"),
        (json!({"config": {"Volumes": ["/x"]}}), "ENVS: e.config.Volumes: an object is expected, but this is a list"),
        (json!({"config": {"ExposedPorts": {"1": 2}}}), "ENVS: e.config.ExposedPorts.1: an object is expected"),
        (json!({"config": {"Labels": {"a": 1}}}), "ENVS: e.config.Labels.a: a string is expected"),
        (json!({"config": {"WorkingDir": "x"}}), "ENVS: e.config.WorkingDir: `x` cannot stand here"),
        (json!({"bsae": {}}), "ENVS: e: unknown key `bsae`; did you mean `base`?"),
    ];
    for (value, expected) in cases {
        let (_, text) = refused(KindName::Image, value);
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn a_checkpoint_is_read() {
    let checkpoint = |ready: Value, stop: Value| {
        let value = json!({"image": {"env": "i"}, "cmd": ["serve"], "ready": ready, "warmup": [["w"]],
            "restored": {"cmd": ["r"], "env": {"A": "b"}}, "stop": stop,
            "timeout": 9});
        match read(KindName::Checkpoint, value).unwrap() {
            Kind::Checkpoint(fields) => (fields.service.ready, fields.service.stop.by),
            other => panic!("{other:?}"),
        }
    };
    let http = |path: &str| Ready::Http { port: 80, path: path.into() };
    let (term, cmd) = (StopBy::Signal("SIGTERM".into()), StopBy::Cmd(vec!["x".into()]));
    let cases = [
        (json!({"cmd": ["x"]}), json!({}), Ready::Cmd(vec!["x".into()]), term.clone()),
        (
            json!({"tcp": 5432}),
            json!({"signal": "SIGINT", "timeout": 3}),
            Ready::Tcp(5432),
            StopBy::Signal("SIGINT".into()),
        ),
        (json!({"http": {"port": 80}}), json!({"cmd": ["x"]}), http("/"), cmd),
        (json!({"http": {"port": 80, "path": "/up"}}), json!({"timeout": 1}), http("/up"), term.clone()),
        (json!({"log": "ready"}), json!({}), Ready::Log("ready".into()), term),
    ];
    for (ready, stop, expected_ready, expected_stop) in cases {
        assert_eq!(checkpoint(ready, stop), (expected_ready, expected_stop));
    }
}

#[test]
fn a_checkpoint_that_makes_no_sense_is_told_with_its_place() {
    let cases = [
        ("ready", json!({}), "ENVS: e.ready: "),
        ("ready", json!({"tcp": 1, "log": "x"}), "ENVS: e.ready: "),
        ("ready", json!({"tcp": 65536}), "ENVS: e.ready.tcp: `65536`"),
        ("ready", json!({"tcp": "80"}), "ENVS: e.ready.tcp: a number is expected, but this is a string"),
        ("ready", json!({"http": {"port": 1, "path": "x"}}), "ENVS: e.ready.http.path: `x`"),
        ("ready", json!({"tpc": 1}), "ENVS: e.ready: unknown key `tpc`; did you mean `tcp`?"),
        ("stop", json!({"signal": "SIGKILL"}), "ENVS: e.stop.signal: `SIGKILL`"),
        ("stop", json!({"signal": "SIGINT", "cmd": ["x"]}), "ENVS: e.stop: "),
        ("timeout", json!("5"), "ENVS: e.timeout: a number is expected, but this is a string"),
    ];
    for (key, value, expected) in cases {
        let mut checkpoint = json!({"image": {"env": "i"}, "ready": {"tcp": 1}});
        checkpoint[key] = value;
        let (_, text) = refused(KindName::Checkpoint, checkpoint);
        assert!(text.starts_with(expected), "{text}");
    }
}
