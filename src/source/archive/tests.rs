//! Archives made by the programs, and by hand what these would not make.

mod bad;
mod damaged;
mod good;
mod limits;
mod random;
mod sevenz;
mod zips;

use std::io::{Cursor, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::*;
use crate::spec::RelativePath;

/// Runs a program in a directory and returns what it writes.
pub(super) fn run(directory: &Path, command: &[&str]) -> Vec<u8> {
    let output = Command::new(command[0]).args(&command[1..]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Returns the tree id that Git computes of a directory.
pub(super) fn git_tree(directory: &Path) -> String {
    let git = tempfile::tempdir().unwrap();
    let place = format!("--git-dir={}/git", git.path().display());
    run(directory, &["git", &place, "--work-tree=.", "init", "-q"]);
    run(directory, &["git", &place, "--work-tree=.", "-c", "core.autocrlf=false", "add", "-A", "-f", "."]);
    String::from_utf8(run(directory, &["git", &place, "--work-tree=.", "write-tree"])).unwrap().trim().to_owned()
}

/// Makes a directory with all that a Git tree can hold.
pub(super) fn sample(directory: &Path) {
    let long = "d".repeat(90);
    let deep = format!("{long}/{long}/{long}");
    for at in ["a/b/c", "a.b", "empty/inner", "näme", &deep] {
        std::fs::create_dir_all(directory.join(at)).unwrap();
    }
    let noise: Vec<u8> = (0..300_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let files = [
        ("a/b/c/file", b"text\r\n".as_slice()),
        ("a.b/x", b""),
        ("a0", b"0"),
        ("näme/ß \\x2d\n", b"odd"),
        ("noise", &noise),
        ("run", b"#!/bin/sh\n"),
        ("group", b"not for the owner"),
        (&format!("{deep}/{}", "f".repeat(120)), b"deep"),
    ];
    for (at, bytes) in files {
        std::fs::write(directory.join(at), bytes).unwrap();
    }
    let mode = |at: &str, mode| std::fs::set_permissions(directory.join(at), PermissionsExt::from_mode(mode)).unwrap();
    mode("run", 0o755);
    mode("group", 0o654);
    let long_target = format!("a/{}", "../a/".repeat(60));
    for (target, at) in [("b/c", "a/in"), ("../../out", "a/out"), ("/etc", "absolute"), (&long_target, "long")] {
        symlink(target, directory.join(at)).unwrap();
    }
}

pub(super) struct Fixture {
    pub(super) directory: tempfile::TempDir,
    pub(super) git: GitStore,
}

pub(super) fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let git = GitStore::open(&directory.path().join("git"), &[]).unwrap();
    std::fs::create_dir(directory.path().join("source")).unwrap();
    Fixture { directory, git }
}

impl Fixture {
    pub(super) fn source(&self) -> std::path::PathBuf {
        self.directory.path().join("source")
    }

    /// Unpacks an archive; when it is refused, nothing may be left of it.
    pub(super) fn unpack(&self, kind: ArchiveKind, bytes: &[u8], limits: &Limits) -> Result<GitId, ArchiveError> {
        let tree = unpack_from(&self.git, Cursor::new(bytes), kind, &RelativePath::root(), limits);
        if tree.is_err() {
            let pack = self.git.path().join("objects/pack");
            assert_eq!(std::fs::read_dir(pack).unwrap().count(), 0, "something is left");
        }
        tree
    }
}

/// Unpacks an archive into an empty cache.
pub(super) fn unpack_bytes(kind: ArchiveKind, bytes: &[u8]) -> Result<GitId, ArchiveError> {
    fixture().unpack(kind, bytes, &Limits::default())
}

/// What an entry of a tar archive made by hand is.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    File(&'a str, &'a [u8]),
    Link(::tar::EntryType, &'a str, &'a str),
    Type(::tar::EntryType, &'a str),
}

/// Makes a tar archive by hand: names are not looked at.
pub(super) fn tar_of(items: &[Item]) -> Vec<u8> {
    let mut archive = ::tar::Builder::new(Vec::new());
    for item in items {
        let mut header = ::tar::Header::new_gnu();
        let (name, content, kind, target) = match *item {
            Item::File(name, content) => (name, content, ::tar::EntryType::Regular, ""),
            Item::Link(kind, name, target) => (name, &[][..], kind, target),
            Item::Type(kind, name) => (name, &[][..], kind, ""),
        };
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        archive.append(&header, content).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Compresses by a program.
pub(super) fn compress(program: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let command: Vec<&str> = program.iter().copied().chain([file.path().to_str().unwrap()]).collect();
    run(Path::new("/"), &command)
}
