//! Closures made of blobs that the client has, put into stores, looked at, and shown to Nix.

mod hostile;
mod stores;
mod with_nix;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::closure::Closure;
use super::make::{Made, Make};
use super::{Registering, StoreRoot};
use crate::client::connect::Reached;
use crate::client::{ClientError, Quiet};
use crate::digest::DigestFunction;
use crate::nix::{Registration, StorePath, base32, nar_facts};
use crate::spec::RelativePath;
use crate::store::{BlobStore, FileBlobStore, Listing, MerkleTree, Node, RemoteBlobStore, collect_tree};
use crate::transport::{Link, Security};

const FUNCTION: DigestFunction = DigestFunction::Blake3;
const LIBRARY: &str = "0123456789abcdfghijklmnpqrsvwxyz-library";
const PROGRAM: &str = "1123456789abcdfghijklmnpqrsvwxyz-program";
const SCRIPT: &str = "2123456789abcdfghijklmnpqrsvwxyz-script.sh";
const LINK: &str = "3123456789abcdfghijklmnpqrsvwxyz-link";

/// What stands at a path.
enum Entry<'a> {
    File(&'a str),
    Program(&'a str),
    Link(&'a str),
}

/// A client with its blobs, and a place for stores.
struct World {
    directory: TempDir,
    blobs: FileBlobStore,
}

/// A closure and what is known of it.
struct Known {
    closure: Closure,
    registration: Arc<Registration>,
}

impl World {
    fn new() -> Self {
        let directory = TempDir::new().expect("temporary");
        let blobs = FileBlobStore::open(&directory.path().join("client")).expect("new");
        Self { directory, blobs }
    }

    fn store(&self) -> StoreRoot {
        StoreRoot::new(self.directory.path().join("shared"))
    }

    fn file(&self, text: &str, executable: bool) -> Node {
        let digest = FUNCTION.digest(text.as_bytes());
        self.blobs.write(&digest, text.as_bytes()).expect("right");
        Node::File { digest, executable }
    }

    fn node(&self, entry: &Entry<'_>) -> Node {
        match entry {
            Entry::File(text) => self.file(text, false),
            Entry::Program(text) => self.file(text, true),
            Entry::Link(target) => Node::Symlink { target: (*target).to_owned() },
        }
    }

    /// Returns a program that refers to a library and to itself, with a script and a link that are no directories.
    async fn closure(&self) -> Known {
        let own = format!("/nix/store/{PROGRAM}/bin/run");
        let library = format!("/nix/store/{LIBRARY}/lib/text");
        self.closure_of(&[
            (LIBRARY, &[("lib/text", Entry::File("library")), ("lib/empty", Entry::File(""))]),
            (
                PROGRAM,
                &[
                    ("bin/run", Entry::Program(&format!("#!/bin/sh\ncat {library}\n"))),
                    ("bin/same", Entry::Link("run")),
                    ("share/library", Entry::Link(&library)),
                    ("share/self", Entry::File(&own)),
                    ("share/copy", Entry::Program("library")),
                ],
            ),
            (SCRIPT, &[("", Entry::Program("#!/bin/sh\n"))]),
            (LINK, &[("", Entry::Link(&own))]),
        ])
        .await
    }

    async fn closure_of(&self, paths: &[(&str, &[(&str, Entry<'_>)])]) -> Known {
        let mut nodes = BTreeMap::new();
        let mut whole = MerkleTree::default();
        let relative = |path: &str| RelativePath::parse(path).expect("relative");
        for (name, entries) in paths {
            let mut own = MerkleTree::default();
            for (path, entry) in *entries {
                let node = self.node(entry);
                whole
                    .insert(&relative(format!("nix/store/{name}/{path}").trim_end_matches('/')), node.clone())
                    .expect("free");
                if path.is_empty() {
                    nodes.insert(*name, node);
                } else {
                    own.insert(&relative(path), node).expect("free");
                }
            }
            if !nodes.contains_key(name) {
                let (digest, blobs) = own.encode(FUNCTION);
                self.blobs.put_batch(blobs).await.expect("right");
                nodes.insert(*name, Node::Directory { digest });
            }
        }
        let text = self.register(&nodes).await;
        whole.insert(&relative("registration"), self.file(&text, false)).expect("free");
        let (root, blobs) = whole.encode(FUNCTION);
        self.blobs.put_batch(blobs).await.expect("right");
        let tree = collect_tree(&self.blobs, root).await.expect("complete");
        let closure = Closure::of(Listing::parse(root, &tree).expect("valid")).expect("a closure");
        let registration = Arc::new(Registration::parse(text.as_bytes()).expect("valid"));
        closure.check(&registration).expect("the same paths");
        Known { closure, registration }
    }

    async fn register(&self, nodes: &BTreeMap<&str, Node>) -> String {
        let paths: Vec<StorePath> = nodes.keys().map(|name| path(name)).collect();
        let mut text = String::new();
        for (name, node) in nodes {
            let facts = nar_facts(&self.blobs, node.clone(), self.directory.path(), paths.clone()).await;
            let (nar, references) = facts.expect("complete");
            let hash = base32::encode(&nar.to_bytes()[1..=32]);
            text += &format!("/nix/store/{name}\nsha256:{hash}\n{}\n\n{}\n", nar.size(), references.len());
            references.iter().for_each(|reference| text += &format!("{reference}\n"));
        }
        text
    }

    async fn make(&self, root: &StoreRoot, known: &Known, registering: Registering) -> Result<Made, ClientError> {
        let registration = Arc::clone(&known.registration);
        let make = Make { root: root.clone(), registering, closure: &known.closure, registration };
        make.run(&self.blobs, &nowhere(), &Quiet).await
    }
}

/// Returns a CAS that nobody can reach: what these tests need is here.
fn nowhere() -> Reached {
    let link = Link::new(&"unix:/nowhere".parse().expect("an address"), &Security::default()).expect("an address");
    Reached { blobs: RemoteBlobStore::new(link, String::new(), FUNCTION), latency: Duration::ZERO }
}

fn path(name: &str) -> StorePath {
    StorePath::from_base_name(name).expect("valid")
}

/// Returns everything at and below a path.
fn below(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    let mut next = 0;
    while let Some(at) = found.get(next).cloned() {
        next += 1;
        if fs::symlink_metadata(&at).expect("there").is_dir() {
            found.extend(fs::read_dir(at).expect("readable").map(|entry| entry.expect("readable").path()));
        }
    }
    found
}

/// Checks that everything in a store has the modes and times that Nix gives, and returns how many entries it has.
fn assert_canonical(root: &StoreRoot) -> usize {
    let paths: Vec<PathBuf> = below(&root.store()).into_iter().skip(1).collect();
    for path in &paths {
        let found = fs::symlink_metadata(path).expect("there");
        assert_eq!((found.mtime(), found.mtime_nsec()), (1, 0), "{}", path.display());
        let mode = found.mode() & 0o7777;
        let expected = if found.is_dir() { mode == 0o555 } else { found.is_symlink() || matches!(mode, 0o444 | 0o555) };
        assert!(expected, "{mode:o}: {}", path.display());
    }
    paths.len()
}

/// Returns what lies beside the lock of a store.
fn leftovers(root: &StoreRoot) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.path().join("nix/.envserve")).expect("made");
    entries.map(|entry| entry.expect("readable").path()).filter(|path| !path.ends_with("lock")).collect()
}
