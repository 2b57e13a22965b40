//! Checkpoints made by workers of an endpoint elsewhere.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::build::Case;
use crate::support::{Daemon, Endpoint, Kind, criu, fail};

/// Starts `envserve execute` with this CRIU and these options.
fn endpoint(case: &Case, criu: &Path, options: &[&str]) -> Daemon {
    let criu = criu.to_str().expect("UTF-8");
    Daemon::start_as("execute", &case.world.path("endpoint"), &[&["--criu", criu], options].concat())
}

/// Starts a daemon over an endpoint, with these options.
fn over(case: &Case, endpoint: &str, options: &[&str]) -> Daemon {
    let common = ["--remote", endpoint, "--checkpoints-for-all"];
    case.daemon_with(Path::new("/nowhere/criu"), &[&common, options].concat())
}

const WORKER: [&str; 2] = ["--checkpoint-worker", "checkpoint=criu"];

#[test]
fn a_worker_elsewhere_is_found_by_the_property_that_the_operator_names() {
    let case = Case::new();
    let endpoint = endpoint(&case, &criu(), &["--checkpoints-for-all"]);
    let daemon = over(&case, &endpoint.address, &[]);
    let said = fail(&mut case.ask(&daemon), 1);
    assert!(said.contains("environment `warm` is a checkpoint: name the property"), "{said}");
    assert!(said.contains("`envserve serve --checkpoint-worker NAME=VALUE`"), "{said}");
    drop(daemon);
    let daemon = over(&case, &endpoint.address, &WORKER);
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
    let said = fail(&mut case.ask(&over(&case, &lacking.address, &WORKER)), 15);
    assert!(said.contains("this host cannot make checkpoints: ") && said.contains("by ENVSERVE_CRIU"), "{said}");
    drop(lacking);
    let closed = endpoint(&case, &criu(), &[]);
    let said = fail(&mut case.ask(&over(&case, &closed.address, &WORKER)), 1);
    assert!(said.contains("refuses the action: ") && said.contains("`--checkpoints-for-all`"), "{said}");
}

/// Makes a directory with the programs that a worker needs beside those of the host.
fn programs(case: &Case) -> std::path::PathBuf {
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", criu().display());
    let program = case.world.write("programs/criu", script);
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("temporary");
    let directory = case.world.path("programs");
    symlink(env!("CARGO_BIN_EXE_envserve"), directory.join("envserve")).expect("temporary");
    directory
}

#[test]
fn a_cluster_makes_checkpoints_where_its_workers_have_the_programs() {
    let case = Case::new();
    let cluster = Endpoint::start_with(Kind::BuildGrid, Some(programs(&case)));
    let daemon = over(&case, &cluster.address, &["--checkpoint-worker", "OSFamily=linux"]);
    let first = case.built(&daemon);
    assert_eq!((&first["kind"], &first["checkpoint"]["sensitive"]), (&"checkpoint".into(), &true.into()));
    let made = &first["checkpoint"]["made"];
    assert!(made["cold_ms"].as_u64() > Some(0), "{made}");
    // Without them the worker has no such program.
    fs::remove_file(case.world.path("programs/criu")).expect("there");
    case.change();
    let said = fail(&mut case.ask(&daemon), 15);
    assert!(
        said.contains("the host of the worker cannot do it: ") && said.contains("`criu` is not installed"),
        "{said}"
    );
}
