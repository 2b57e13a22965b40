//! Expressions that cannot be, each refused for its reason.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Expression, content, descriptor};
use crate::support::{Daemon, Web, fail};

/// Exit code of a fetch when the environment itself is at fault.
const FAILED: i32 = 16;

/// Says what a client is told of an attribute.
fn told(expression: &Expression, daemon: &Daemon, attribute: &str) -> String {
    let mut client = expression.world.client_of(daemon, "client");
    fail(client.args(["fetch", "--absent"]).arg(expression.spec(attribute)), FAILED)
}

#[test]
fn what_depends_on_the_host_is_refused_with_the_reason() {
    let expression = Expression::features();
    let daemon = expression.world.daemon();
    for (attribute, words) in [
        ("time", "currentTime"),
        ("host", "currentSystem"),
        ("raw", "`builtins.currentTime` depends on the host"),
        ("network", "http://127.0.0.1:1/x"),
        ("unbound", "nixpkgs"),
        ("elsewhere", "/etc/passwd"),
        ("constant", "evaluates to a int, and not to a derivation"),
        ("nowhere", "attribute `nowhere` of `attr` is not there"),
        ("make", "and not to a derivation"),
    ] {
        let said = told(&expression, &daemon, attribute);
        assert!(said.contains(words) && said.contains("its expression was not evaluated"), "{attribute}: {said}");
    }
}

#[test]
fn an_expression_that_does_not_parse_is_shown_where() {
    let expression = Expression::features();
    expression.world.write("source/source/default.nix", "{\n  a = ;\n}\n");
    let said = told(&expression, &expression.world.daemon(), "a");
    assert!(said.contains("syntax error") && said.contains(":2:"), "{said}");
}

#[test]
fn an_evaluation_without_end_is_ended() {
    let expression = Expression::features();
    let options = ["--nix-evaluation-seconds", "1"];
    let daemon = Daemon::start(&expression.world.path("daemon"), &options);
    let begun = Instant::now();
    expression.world.write("source/source/default.nix", "let f = n: if n < 0 then n else f (n + 1 - 1); in f 1");
    let said = told(&expression, &daemon, "");
    assert!(said.contains("did not end within 1 s") || said.contains("stack overflow"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_derivation_that_fails_is_named_with_what_it_said() {
    let expression = Expression::features();
    let daemon = expression.world.daemon();
    for (attribute, words) in [
        ("failing", &["-failing.drv`: its command ended with exit code 3", "going wrong"][..]),
        ("forgetful", &["it did not make its output `dev`"]),
        ("circular", &["refer to each other in a circle"]),
        ("device", &["is neither file, directory nor symlink"]),
        ("lying", &["its hash is `sha256:", "and the derivation states `sha256:"]),
        ("referring", &["a fixed output may not refer to anything"]),
        ("forbidden", &["-script`, which is in `disallowedReferences`"]),
        ("outside", &["-outside.drv`: its command ended with exit code 127", "/bin/sh"]),
    ] {
        let said = told(&expression, &daemon, attribute);
        words.iter().for_each(|words| assert!(said.contains(words), "{attribute}: {said}"));
    }
}

#[test]
fn what_is_not_covered_is_refused_by_its_name() {
    let expression = Expression::features();
    let daemon = expression.world.daemon();
    for (attribute, words) in [
        ("unconfined", "outside of the sandbox (`__noChroot`)"),
        ("recursing", "recursive Nix"),
        ("builtin", "the builder `builtin:fetchurl` is part of Nix"),
    ] {
        let said = told(&expression, &daemon, attribute);
        assert!(said.contains(words), "{attribute}: {said}");
    }
    let spec = expression.spec_of("bin", &json!({"outputs": ["none"]}));
    let said = fail(expression.world.client_of(&daemon, "client").args(["fetch", "--absent"]).arg(spec), FAILED);
    assert!(said.contains("has no output `none`; it has out"), "{said}");
}

#[test]
fn a_fixed_output_has_the_network_only_where_the_operator_allows_it() {
    let expression = Expression::features();
    let world = &expression.world;
    let web = Web::of(world.write("web/file", "fixed").parent().expect("has one"));
    let fields = json!({"args": {"url": format!("{}/file", web.address)}});
    let expression_text = "{ url }: (import ./features.nix { }).fetched url";
    world.write("source/source/features.nix", include_str!("features.nix"));
    world.write("source/source/default.nix", expression_text);
    let without = Daemon::start(&world.path("without"), &["--allow-network"]);
    let spec = expression.spec_of("", &fields);
    let said = fail(world.client_of(&without, "client").args(["fetch", "--absent"]).arg(&spec), FAILED);
    assert!(said.contains("-fixed.drv`"), "{said}");
    assert_eq!(web.asked(), [""; 0]);
    let with = Daemon::start(&world.path("with"), &["--allow-network", "--nix-network", "network=on"]);
    let answer = descriptor(&mut world.client_of(&with, "client"), &spec);
    assert_eq!(content(&with.address, &answer), "fixed");
    assert_eq!(web.asked(), ["file"]);
}
