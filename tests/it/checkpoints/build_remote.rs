//! Checkpoints made by workers of an endpoint elsewhere.

use std::path::Path;

use super::build::Case;
use crate::support::{Daemon, criu, fail};

/// Starts `envserve execute` with this CRIU and these options.
fn endpoint(case: &Case, criu: &Path, options: &[&str]) -> Daemon {
    let criu = criu.to_str().expect("UTF-8");
    Daemon::start_as("execute", &case.world.path("endpoint"), &[&["--criu", criu], options].concat())
}

/// Starts a daemon over an endpoint, with these options.
fn over(case: &Case, endpoint: &Daemon, options: &[&str]) -> Daemon {
    let common = ["--remote", &endpoint.address, "--checkpoints-for-all"];
    case.daemon_with(Path::new("/nowhere/criu"), &[&common, options].concat())
}

const WORKER: [&str; 2] = ["--checkpoint-worker", "checkpoint=criu"];

#[test]
fn a_worker_elsewhere_is_found_by_the_property_that_the_operator_names() {
    let case = Case::new();
    let endpoint = endpoint(&case, &criu(), &["--checkpoints-for-all"]);
    let daemon = over(&case, &endpoint, &[]);
    let said = fail(&mut case.ask(&daemon), 1);
    assert!(said.contains("environment `warm` is a checkpoint: name the property"), "{said}");
    assert!(said.contains("`envserve serve --checkpoint-worker NAME=VALUE`"), "{said}");
    drop(daemon);
    let daemon = over(&case, &endpoint, &WORKER);
    let first = case.built(&daemon);
    assert_eq!(first["checkpoint"]["sensitive"], true);
    let builds = daemon.builds();
    assert_eq!(case.built(&daemon), first);
    assert_eq!(daemon.builds(), builds);
}

#[test]
fn an_endpoint_that_makes_none_says_why() {
    let case = Case::new();
    let lacking = endpoint(&case, Path::new("/nowhere/criu"), &["--checkpoints-for-all"]);
    let said = fail(&mut case.ask(&over(&case, &lacking, &WORKER)), 15);
    assert!(said.contains("this host cannot make checkpoints: ") && said.contains("by ENVSERVE_CRIU"), "{said}");
    drop(lacking);
    let closed = endpoint(&case, &criu(), &[]);
    let said = fail(&mut case.ask(&over(&case, &closed, &WORKER)), 1);
    assert!(said.contains("refuses the action: ") && said.contains("`--checkpoints-for-all`"), "{said}");
}
