//! Good specs and environments files, which together have every field that there is.

use serde_json::{Value, json};

const ID: &str = "0123456789abcdef0123456789abcdef01234567";

fn spec(repository: &Value) -> Value {
    let other = json!({"repository": {"type": "archive", "content": ID, "fetch": "https://example.org/other.tar"}});
    json!({"environment": ["a", "", "e"], "repositories": {"a": repository, "b": other}})
}

fn rooted(root: &Value) -> Value {
    spec(&json!({"repository": root}))
}

fn download(kind: &str, fields: &Value) -> Value {
    let mut root = json!({
        "type": kind, "content": ID, "fetch": "./file.tgz", "mirrors": ["https://example.org/file"],
        "distfile": "file-1.tgz", "sha256": "0a".repeat(32), "sha512": "0a".repeat(64),
    });
    root.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    root
}

/// Specs, each with the place of the part that is its own.
pub(super) fn specs() -> Vec<(Value, &'static str)> {
    let mut whole = spec(&json!({"root": ["git tree", ID], "environments_file": "OTHER", "bindings": {"it": "b"}}));
    whole["$schema"] = json!("../schemas/spec.json");
    whole["config"] = json!({"WHO": "world", "DEBUG": [true, 1, null]});
    whole["properties"] = json!({"OSFamily": "linux"});
    whole["x-note"] = json!(1);
    let links = json!({"pragma": {"absent": true, "special": "resolve-partially"}});
    let file = json!({"type": "file", "path": "..", "pragma":
        {"to_git": true, "absent": false, "special": "resolve-completely"}});
    let git = json!({"type": "git", "repository": "https://example.org/r.git", "branch": "main", "commit": ID,
        "mirrors": ["/r"], "subdir": "a/.b", "inherit env": ["HOME"], "pragma": {"special": "ignore", "x-y": []}});
    let roots = [
        file,
        git,
        download("archive", &json!({"subdir": "a", "pragma": links["pragma"]})),
        download("zip", &json!({"subdir": ".", "pragma": {"special": "ignore"}})),
        download("foreign file", &json!({"name": "x", "executable": true, "pragma": {"absent": true}})),
        json!({"type": "git tree", "id": ID, "cmd": ["make", ""], "env": {"A": "b"}, "inherit env": ["HOME"]}),
        json!({"type": "distdir", "repositories": ["b"]}),
        json!({"type": "computed", "repo": "b", "target": ["m/n", "e"], "config": {"WHO": 1}, "x-z": {}}),
        json!({"type": "tree structure", "repo": "b", "pragma": {}}),
    ];
    let mut specs = vec![(whole, "")];
    specs.extend(roots.iter().map(|root| (rooted(root), "/repositories/a")));
    specs
}

fn environments(definition: &Value) -> Value {
    json!({"e": definition})
}

/// Environments files, of which each has a definition `e` to be expanded with `V` set.
pub(super) fn environments_files() -> Vec<(Value, &'static str)> {
    let plain = json!({"type": "tree", "inputs": {"": {"root": "r", "path": "a"}}, "flexible_config": ["V"]});
    let mut whole = environments(&plain);
    whole["$schema"] = json!("../schemas/environments.json");
    let mut definitions = trees();
    definitions.extend(images());
    definitions.extend(checkpoints());
    definitions
        .push(json!({"type": "nix", "expression": {"root": "nixpkgs"}, "file": "a/default.nix", "attr": "hello",
        "args": {"system": "x86_64-linux"}, "inputs": {"pkgs": {"path": "p"}}, "outputs": ["out"], "mode": "shell"}));
    let mut all = vec![(whole, "")];
    all.extend(definitions.iter().map(|definition| (environments(definition), "/e")));
    all
}

fn trees() -> Vec<Value> {
    let command = json!({"type": "tree", "doc": ["A.", "{{"], "flexible_config": ["V", "W"],
        "config_doc": {"V": ["Which."]}, "provides": {"path": ["bin"], "vars": {"CC": "{{@root}}/cc"}},
        "inputs": {"a": {"env": "n"}, "b/{{V}}": {"path": "{{V}}/x"}}, "cmd": ["make", "{{V}}"], "env": {"A": "{{V}}"},
        "outs": ["bin", "{{V}}"], "timeout": 60, "x-note": {}});
    let composed = json!({"type": "tree", "flexible_config": ["V"], "inputs": {"a": {"env": ["m", "n"], "path": "bin"},
        "b": {"env": ["@", "r", "", "n"]}, "c": {"env": ["@", "{{V}}"]}}});
    vec![command, composed]
}

fn images() -> Vec<Value> {
    let config = json!({"Cmd": ["a"], "Entrypoint": [""], "Env": ["A=b", "{{V}}=c"], "ExposedPorts": {"80/tcp": {}},
        "Labels": {"a": "b"}, "StopSignal": "SIGTERM", "User": "0", "Volumes": {"/data": {"x-a": 1}}, "WorkingDir": "/w",
        "architecture": "amd64", "author": "me", "os": "linux", "variant": "v8"});
    let whole = json!({"type": "image", "flexible_config": ["V"], "base": {"image": "example.org/a@sha256:00"},
        "layers": [{"from": {"path": "l"}, "at": "/opt/{{V}}"}, {"from": {"env": "n"}}],
        "run": [["a", "b"], {"cmd": ["c"], "env": {"A": "b"}}], "config": config});
    let based = json!({"type": "image", "base": {"path": "root"}, "layers": [{"from": {"path": "l"}, "at": "opt"}]});
    vec![whole, based]
}

fn checkpoints() -> Vec<Value> {
    let with = |ready: Value, stop: Value| json!({"type": "checkpoint", "image": {"env": "i"}, "ready": ready, "stop": stop, "flexible_config": ["V"]});
    let mut whole = with(json!({"http": {"port": 80, "path": "/{{V}}"}}), json!({"signal": "SIGINT", "timeout": 5}));
    whole["cmd"] = json!(["serve"]);
    whole["warmup"] = json!([["a"], {"cmd": ["b"], "env": {"A": "b"}}]);
    whole["restored"] = json!({"cmd": ["c"]});
    whole["timeout"] = json!(60);
    vec![
        whole,
        with(json!({"tcp": 5432}), json!({})),
        with(json!({"cmd": ["is-ready"]}), json!({"cmd": ["stop"]})),
        with(json!({"log": "ready"}), json!({"x-a": 1})),
    ]
}
