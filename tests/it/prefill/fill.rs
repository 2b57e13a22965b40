//! What is filled: once, whoever needs it.

use std::process::Stdio;

use serde_json::json;

use super::{Farm, expected, outcomes, totals};
use crate::support::{Proxy, files, run, succeed, text};

/// Three environments, of which two use the third, and one has a variable.
fn three(farm: &Farm) {
    let mut uses = farm.counted("uses {{ARCH}}", "cat in/out >out");
    uses["flexible_config"] = json!(["ARCH"]);
    uses["inputs"] = json!({"in": {"env": "shared"}});
    let mut other = farm.counted("other", "cat in/out >out");
    other["inputs"] = json!({"in": {"env": "shared"}});
    farm.environments(&json!({"uses": uses, "other": other, "shared": farm.counted("shared", "echo x >out")}));
}

#[test]
fn all_environments_in_all_configurations_are_built_once_and_then_found() {
    let farm = Farm::new();
    three(&farm);
    farm.spec("spec.json", "uses");
    let all = ["spec.json", "--all", "--matrix", "ARCH=x86_64,aarch64"];
    let first = farm.fill("ci", &all);
    assert_eq!(first["totals"], totals(0, 6, 0), "{first}");
    assert_eq!((&first["plan"]["builds"], &first["plan"]["never_built"]), (&json!(4), &json!(4)), "{first}");
    assert_eq!(first["plan"]["roots"], json!(["main"]));
    assert_eq!(farm.counts(), ["other", "shared", "uses aarch64", "uses x86_64"], "each action once");
    let keys = |name: &str| {
        let items = first["items"].as_array().expect("a list").iter();
        items.filter(|item| item["environment"][2] == name).map(|item| item["key"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(keys("shared")[0], keys("shared")[1], "what knows no variable has one key");
    assert_ne!(keys("uses")[0], keys("uses")[1]);

    let second = farm.fill("ci", &all);
    assert_eq!(second["totals"], totals(6, 0, 0), "{second}");
    assert_eq!((&second["plan"]["builds"], &second["plan"]["hits"]), (&json!(0), &json!(4)));
    assert_eq!(second["plan"]["roots"], json!([]));
    assert_eq!(farm.counts().len(), 4, "no action ran again");
    // Whoever never filled anything finds the same.
    assert_eq!(farm.fill("another", &all)["totals"], totals(6, 0, 0));
    assert!(!farm.world.path("ci/environments").exists() && !farm.world.path("ci/blobs").exists(), "nothing came here");
}

#[test]
fn environments_of_specs_in_directories_and_lists_are_filled_and_roots_are_sent_once() {
    let farm = Farm::new();
    three(&farm);
    for (file, name) in [("specs/b.json", "other"), ("specs/a.json", "shared"), ("specs/deeper/c.json", "none")] {
        farm.spec(file, name);
    }
    farm.spec("more/one.json", "uses");
    farm.world.write("more/list", "# the rest\n\none.json\n");
    let report = farm.fill("ci", &["specs", "--list", "more/list", "-c", "ARCH=x", "--jobs", "8"]);
    assert_eq!(outcomes(&report), expected(&[("shared", "built"), ("other", "built"), ("uses", "built")]), "{report}");
    let specs: Vec<&str> =
        report["items"].as_array().expect("a list").iter().filter_map(|i| i["spec"].as_str()).collect();
    assert_eq!(specs, ["specs/a.json", "specs/b.json", "more/one.json"]);
    assert_eq!(farm.counts(), ["other", "shared", "uses x"]);
    let sent = farm.daemon.log().lines().filter(|line| line.contains("GetRemoteTree")).count();
    assert_eq!(sent, 1, "{}", farm.daemon.log());
}

#[test]
fn a_list_comes_from_stdin_and_environments_from_the_command_line() {
    let farm = Farm::new();
    three(&farm);
    let spec = farm.spec("spec.json", "uses");
    let mut command = farm.command("ci");
    command.args(["--list", "-", "-e", "main", "", "shared", "-e", "main", "", "other"]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is there");
    let mut stdin = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, format!("{}\n", spec.display()).as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ran");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{stdout}{stderr}");
    assert!(lines[0].starts_with("built ") && lines[0].contains("/") && lines[0].contains(" shared of "), "{stdout}");
    assert!(lines[1].starts_with("built ") && lines[1].contains(" other of "), "{stdout}");
    assert_eq!(lines[2], "2 items: 0 hit, 2 built, 0 failed");
    assert!(
        stderr.contains("items: 2, keys: 2, environments there: 0, to be built: 2, for the first time: 2"),
        "{stderr}"
    );
}

#[test]
fn what_was_built_before_has_a_time_and_a_variable_that_nobody_has_is_told_of() {
    let farm = Farm::new();
    three(&farm);
    let spec = farm.spec("spec.json", "other").display().to_string();
    succeed(farm.command("ci").arg(&spec));
    farm.world.write("source/changed", "anything");
    let output = run(farm.command("ci").args([&spec, "--matrix", "ARCHH:=[1, 2]"]));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("items: 2, keys: 1, environments there: 0, to be built: 2, the last time in"), "{stderr}");
    assert!(stderr.contains("none of the environments has a variable `ARCHH`"), "{stderr}");
    assert!(text(&output.stdout).contains("other ARCHH:=1 of"), "{}", text(&output.stdout));
}

#[test]
fn a_root_that_one_spec_lacks_another_one_gives() {
    let farm = Farm::new();
    three(&farm);
    farm.spec("b.json", "shared");
    // Resolved without a server, so that none knows the root.
    let resolved = succeed(farm.world.client("private").arg("resolve").arg(farm.world.path("b.json")));
    farm.world.write("a.json", resolved);
    let report = farm.fill("ci", &["a.json", "b.json"]);
    assert_eq!(report["totals"], totals(1, 1, 0), "the one without comes after the other: {report}");
    assert_eq!(farm.counts(), ["shared"]);
}

#[test]
fn a_root_that_is_computed_is_built_first() {
    let farm = Farm::new();
    let envs = json!({"inner": {"type": "tree", "inputs": {"made": {"path": "."}}}}).to_string();
    let outer = farm.counted("outer", &format!("echo '{envs}' >out"));
    farm.environments(
        &json!({"outer": {"type": "tree", "inputs": {"ENVS": {"env": "made", "path": "out"}}}, "made": outer}),
    );
    let source = farm.world.path("source").display().to_string();
    let spec = json!({"environment": ["made", "", "inner"], "repositories": {
        "main": {"repository": {"type": "file", "path": source, "pragma": {"to_git": true}}},
        "made": {"repository": {"type": "computed", "repo": "main", "target": ["", "outer"], "config": {}}},
    }});
    farm.world.write("spec.json", spec.to_string());
    let report = farm.fill("ci", &["spec.json"]);
    assert_eq!(report["totals"], totals(0, 1, 0), "{report}");
    assert!(report["items"][0]["key"].is_string() && report["items"][0]["root"].is_string(), "{report}");
    assert_eq!(farm.fill("ci", &["spec.json"])["totals"], totals(1, 0, 0));
    assert_eq!(farm.counts(), ["outer"]);
}

#[test]
fn while_the_server_is_away_it_is_waited_for_where_that_is_wanted() {
    let farm = Farm::new();
    three(&farm);
    let proxy = Proxy::new(&farm.daemon.address);
    proxy.set(crate::support::Fault::Refused);
    let spec = farm.spec("spec.json", "shared");
    let mut command = farm.command("ci");
    command.env("ENVSERVE_SERVE", &proxy.address).args(["--on-unavailable", "wait"]).arg(spec);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary is there");
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(child.try_wait().expect("waitable").is_none(), "it waits");
    proxy.set(crate::support::Fault::None);
    assert!(child.wait().expect("running").success());
    assert_eq!(farm.counts(), ["shared"]);
    assert!(files(&farm.world.path("ci")).iter().all(|file| !file.starts_with(farm.world.path("ci/private"))));
}
