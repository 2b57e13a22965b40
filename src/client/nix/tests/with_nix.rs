//! What Nix says to stores made here.

use std::process::{Command, Output};

use super::super::database::{NixDatabase, add_root, keep_from_collection};
use super::*;

fn nix(root: &StoreRoot, arguments: &[&str]) -> Output {
    let mut command = Command::new("nix-store");
    command.arg("--store").arg(root.path()).args(["--option", "build-users-group", ""]).args(arguments);
    command.env("HOME", root.path()).env_remove("NIX_REMOTE").output().expect("installed: run `.ci/setup test`")
}

fn said(root: &StoreRoot, arguments: &[&str]) -> String {
    let output = nix(root, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn in_store(name: &str) -> String {
    path(name).to_string()
}

#[tokio::test]
async fn nix_finds_what_was_registered_right() {
    let world = World::new();
    let (root, known) = (world.store(), world.closure().await);
    world.make(&root, &known, Registering::Yes).await.expect("made");
    said(&root, &["--verify", "--check-contents"]);
    let references = said(&root, &["-q", "--references", &in_store(PROGRAM)]);
    assert_eq!(references.lines().collect::<Vec<_>>(), [in_store(LIBRARY), in_store(PROGRAM)]);
    assert_eq!(said(&root, &["-q", "--requisites", &in_store(LINK)]).lines().count(), 3);
    let lib = root.real(&path(LIBRARY)).join("lib/text");
    fs::remove_file(&lib).expect("we are its owner");
    fs::write(&lib, "other").expect("we are its owner");
    assert!(!nix(&root, &["--verify", "--check-contents"]).status.success(), "what Nix checks is what we registered");
}

#[tokio::test]
async fn what_is_registered_is_not_registered_again() {
    let world = World::new();
    let (root, known) = (world.store(), world.closure().await);
    world.make(&root, &known, Registering::Yes).await.expect("made");
    let database = NixDatabase::new(&root).expect("installed");
    let all = known.registration.paths().cloned().collect();
    assert_eq!(database.unregistered(&all).expect("asked").len(), 0);
    said(&root, &["--delete", &in_store(LINK)]);
    let missing = database.unregistered(&all).expect("asked");
    assert_eq!(missing.iter().collect::<Vec<_>>(), [&path(LINK)]);
    world.make(&root, &known, Registering::Yes).await.expect("made");
    said(&root, &["--verify", "--check-contents"]);
    assert_eq!(database.unregistered(&all).expect("asked").len(), 0);
}

#[tokio::test]
async fn a_root_keeps_a_closure_and_the_lock_keeps_the_collector_away() {
    let world = World::new();
    let (root, known) = (world.store(), world.closure().await);
    world.make(&root, &known, Registering::Yes).await.expect("made");
    let kept = keep_from_collection(&root).expect("no collector runs");
    let lock = fs::File::open(root.path().join("nix/var/nix/gc.lock")).expect("there");
    let taken = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive);
    assert_eq!(taken, Err(rustix::io::Errno::WOULDBLOCK));
    drop(kept);
    add_root(&root, &path(PROGRAM), &world.directory.path().join("result")).expect("free");
    said(&root, &["--gc"]);
    assert!(root.real(&path(LIBRARY)).exists() && root.real(&path(PROGRAM)).exists());
    assert!(fs::symlink_metadata(root.real(&path(LINK))).is_err(), "what nothing keeps goes");
    assert!(root.path().join("nix/.envserve").exists());
}

#[tokio::test]
async fn what_nix_does_not_know_is_taken_only_when_it_is_right() {
    let world = World::new();
    let (root, known) = (world.store(), world.closure().await);
    // As after a kill between the last rename and the registration.
    world.make(&root, &known, Registering::No).await.expect("made");
    let inode = |name: &str| fs::symlink_metadata(root.real(&path(name))).expect("there").ino();
    let library = inode(LIBRARY);
    // As Nix leaves it when it is killed while it makes the path.
    crate::store::remove_tree(&root.real(&path(PROGRAM))).expect("removed");
    fs::create_dir(root.real(&path(PROGRAM))).expect("free");
    world.make(&root, &known, Registering::Yes).await.expect("made");
    assert_eq!(inode(LIBRARY), library);
    // The number of what was removed may be given again: what is there now counts.
    assert_ne!(fs::read_dir(root.real(&path(PROGRAM))).expect("there").count(), 0);
    said(&root, &["--verify", "--check-contents"]);
}

#[tokio::test]
async fn nix_that_refuses_says_why() {
    let world = World::new();
    let (root, known) = (world.store(), world.closure().await);
    world.make(&root, &known, Registering::No).await.expect("made");
    fs::create_dir_all(root.path().join("nix/var/nix/db")).expect("temporary");
    fs::write(root.path().join("nix/var/nix/db/db.sqlite"), "no database, but long enough to be read as one")
        .expect("temporary");
    let error = world.make(&root, &known, Registering::Yes).await.map(|_| ()).expect_err("no database");
    assert!(matches!(&error, ClientError::NixDatabase { said, .. } if !said.is_empty()), "{error:?}");
}
