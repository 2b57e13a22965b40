//! casupload and casdownload: directories to the CAS and back.

use super::Project;
use crate::support::tree;

/// Larger than any batch: it goes through ByteStream, in many messages.
const LARGE: usize = 9_000_001;

/// Writes a directory `tree` that has one of everything.
pub(super) fn write_tree(project: &Project) {
    let large: Vec<u8> = (0..LARGE as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    project.write("tree/large", large);
    project.write("tree/a/b/c/deep", "deep\n");
    project.write("tree/a/nothing", "");
    project.write("tree/a/same as deep, ä", "deep\n");
    project.succeed(
        "mkdir -p tree/empty/inside
        printf '#!/bin/sh\\necho ran\\n' >tree/a/b/run
        chmod +x tree/a/b/run
        ln -s ../nothing tree/a/b/link
        ln -s b/c tree/a/to-a-directory
        ln -s nowhere tree/dangling",
    );
}

#[test]
fn a_tree_comes_back_as_it_was_uploaded() {
    let project = Project::new(&["casupload", "casdownload"]);
    write_tree(&project);
    project.succeed(&project.shown("casupload, casdownload"));
    let (sent, received) = (tree(&project.path("tree")), tree(&project.path("copy")));
    assert_eq!(sent.len(), 13);
    assert_eq!(sent, received);
    assert_eq!(project.succeed("copy/a/b/run"), "ran\n");
}

#[test]
fn a_tree_that_is_not_there_is_an_error() {
    let project = Project::new(&["casdownload"]);
    let digest = format!("{}/{}", "5".repeat(64), 82);
    let script = format!(
        "mkdir copy; casdownload --remote=http://{} --root-digest={digest} --destination-dir=copy",
        project.daemon.address
    );
    let printed = project.end(&script, 1);
    assert!(printed.contains(&digest), "{printed}");
    assert!(tree(&project.path("copy")).is_empty());
}
