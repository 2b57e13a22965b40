//! What is planned of an image is what is fetched, in each view.

use std::process::Command;

use serde_json::{Value, json};

use super::Case;
use crate::support::{plan_and_fetch, succeed};

fn bytes(plan: &Value, key: &str) -> u64 {
    plan[key].as_u64().unwrap_or_else(|| panic!("{plan}"))
}

#[test]
fn a_plan_of_an_image_has_what_the_view_needs_and_nothing_here_has() {
    for first in ["dir", "oci", "docker-archive"] {
        let case = Case::new();
        succeed(case.world.client_of(&case.daemon, "builder").arg("fetch").arg(&case.spec));
        let fetch = |view: &str| plan_and_fetch(|verb| case.command(verb), &["--view", view]);
        let cold = fetch(first);
        assert_eq!((&cold["state"], bytes(&cold, "here_bytes")), (&json!("hit"), 0), "{first}");
        assert!(bytes(&cold, "fetch_bytes") > 5 << 20, "{first}: {cold}");
        for view in ["dir", "oci", "docker-archive"] {
            let plan = fetch(view);
            assert_eq!(plan["state"] == "here", view == first, "{first}, then {view}: {plan}");
            if view != first {
                let most = bytes(&plan, "here_bytes");
                assert!(bytes(&plan, "fetch_bytes") < 100_000 && most > 5 << 20, "{first}, then {view}: {plan}");
            }
        }
    }
}

#[test]
fn a_changed_file_is_all_that_a_plan_of_an_image_has() {
    let case = Case::new();
    let cold = plan_and_fetch(|verb| case.command(verb), &[]);
    assert_eq!(cold["state"], "build");
    case.world.write("source/data/small", "after");
    succeed(case.world.client_of(&case.daemon, "builder").arg("fetch").arg(&case.spec));
    let plan = plan_and_fetch(|verb| case.command(verb), &[]);
    assert_eq!(plan["state"], "hit");
    assert!((5..100_000).contains(&bytes(&plan, "fetch_bytes")), "{plan}");
    // The directory goes, the files of images stay.
    succeed(Command::new("sh").arg("-c").arg("rm -rf \"$0\"/images/*/blake3").arg(case.world.path("client")));
    let again = plan_and_fetch(|verb| case.command(verb), &[]);
    assert_eq!((&again["state"], bytes(&again, "fetch_bytes")), (&json!("hit"), 0), "{again}");
}
