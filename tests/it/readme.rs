//! What the README shows, done.

use std::fs;
use std::path::Path;

use crate::support::{World, block, succeed};

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("there")
}

#[test]
fn the_spec_and_the_environments_file_of_the_readme_work() {
    let world = World::new();
    let spec = world.write("project/spec.json", block(&readme(), "`spec.json` says"));
    world.write("project/ENVS", block(&readme(), "`ENVS`, in the root"));
    let daemon = world.daemon();
    let mut greet = world.client_of(&daemon, "client");
    assert_eq!(succeed(greet.arg("shell").arg(&spec).args(["--", "greet"])), "hello, world");
}

#[test]
fn the_readme_is_short_and_its_links_lead_somewhere() {
    let text = readme();
    assert!(text.lines().count() <= 120);
    let links: Vec<&str> = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 5);
    for link in links {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
    }
}
