//! What is planned of a closure is what is fetched.

use std::process::Command;

use serde_json::json;

use super::Case;
use crate::support::{plan_and_fetch, succeed};

#[test]
fn a_plan_of_a_closure_has_the_paths_that_the_store_lacks() {
    let case = Case::new();
    let cold = plan_and_fetch(|verb| case.command(verb), &[]);
    assert_eq!((&cold["state"], &cold["here_bytes"]), (&json!("hit"), &json!(0)));
    assert!(cold["fetch_bytes"].as_u64() > Some(0), "{cold}");
    assert_eq!(plan_and_fetch(|verb| case.command(verb), &[])["state"], "here");

    // One path is gone, and so are the blobs: what a Nix store has is all that is here.
    let gone = case.world.path("client/store/nix/store").join(&case.library);
    for path in [gone, case.world.path("client/blobs")] {
        succeed(Command::new("rm").arg("-rf").arg(path));
    }
    let part = plan_and_fetch(|verb| case.command(verb), &[]);
    let bytes = |key: &str| part[key].as_u64().expect("known");
    assert_eq!(part["state"], "hit");
    assert!(bytes("fetch_bytes") > 0 && bytes("here_bytes") > 0, "{part}");
    assert_eq!(bytes("fetch_bytes") + bytes("here_bytes"), cold["fetch_bytes"].as_u64().expect("known"));

    let elsewhere = case.world.path("elsewhere");
    let store = ["--store", elsewhere.to_str().expect("a name")];
    assert_eq!(plan_and_fetch(|verb| case.command(verb), &store)["state"], "hit");
}
