//! Environments of kind `nix`, compared with what Nix itself makes of the same expressions.

mod example;
mod failing;
mod same;
mod sharing;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use envserve::digest::Digest;
use envserve::nix::NixHash;
use envserve::store::{BlobStore, Directory, Node, RemoteBlobStore};
use envserve::transport::{Link, Security};
use serde_json::{Value, json};

use crate::support::{World, spec, succeed, text};

/// An expression, its environments, and a store of Nix.
pub(crate) struct Expression {
    pub(crate) world: World,
}

/// What is known of an object of a store: hash and size of its archive, what made it, what it refers to.
pub(crate) type Facts = (NixHash, u64, String, BTreeSet<String>);

impl Expression {
    /// The expression with one derivation for each thing that a derivation can ask for.
    pub(crate) fn features() -> Self {
        let world = World::new();
        world.write("source/source/default.nix", include_str!("features.nix"));
        world.write("source/source/tree/file", "content");
        std::os::unix::fs::symlink("file", world.path("source/source/tree/link")).expect("temporary");
        fs::create_dir(world.path("source/source/tools")).expect("temporary");
        for (name, program) in [("busybox", "busybox"), ("bash", "bash-static")] {
            fs::copy(installed(program), world.path("source/source/tools").join(name)).expect("readable");
        }
        Self { world }
    }

    /// Returns a spec for an attribute of the expression.
    pub(crate) fn spec(&self, attribute: &str) -> PathBuf {
        self.spec_of(attribute, &json!({}))
    }

    /// Returns a spec for an attribute, with more fields of its environment. The root changes with each environment
    /// that it gets, and its key with it; derivations do not.
    pub(crate) fn spec_of(&self, attribute: &str, fields: &Value) -> PathBuf {
        let name = if attribute.is_empty() { "whole" } else { attribute };
        let mut environment = json!({"type": "nix", "expression": {"path": "source"}});
        if !attribute.is_empty() {
            environment["attr"] = attribute.into();
        }
        environment.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let known = fs::read(self.world.path("source/ENVS")).unwrap_or_else(|_| b"{}".to_vec());
        let mut environments: Value = serde_json::from_slice(&known).expect("JSON");
        environments[name] = environment;
        self.world.write("source/ENVS", environments.to_string());
        self.world.write(&format!("{name}.json"), spec(name).to_string())
    }

    /// Returns a program of Nix that works in a store of its own.
    pub(crate) fn nix(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let home = self.world.path("home");
        fs::create_dir_all(&home).expect("temporary");
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", &home).env("USER", "u");
        command.env("NIX_CONF_DIR", self.world.path("none")).arg("--store").arg(self.world.path("store"));
        command.args(["--option", "build-users-group", "", "--option", "substitute", "false"]);
        command
    }

    /// Builds an attribute with Nix, and returns all objects that it leads to.
    pub(crate) fn built_by_nix(&self, attribute: &str) -> BTreeMap<String, Facts> {
        let mut build = self.nix("nix-build");
        build.args(["--no-out-link", "--cores", "0", "--option", "sandbox", "true", "-A", attribute]);
        let path = succeed(build.current_dir(self.world.path("source/source")));
        let closure = succeed(self.nix("nix-store").args(["--query", "--requisites", &path]));
        let dumped = self.nix("nix-store").arg("--dump-db").args(closure.lines()).output().expect("Nix is installed");
        facts(&text(&dumped.stdout))
    }
}

fn installed(program: &str) -> PathBuf {
    let found = crate::support::path().into_iter().map(|directory| directory.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("`{program}` is not installed"))
}

/// Reads what registers objects in a store.
pub(crate) fn facts(registration: &str) -> BTreeMap<String, Facts> {
    let mut lines = registration.lines();
    let mut known = BTreeMap::new();
    while let Some(path) = lines.next() {
        let mut next = || lines.next().expect("whole").to_owned();
        let (hash, size, deriver, count) = (next(), next(), next(), next());
        let hash = if hash.contains(':') { hash } else { format!("sha256:{hash}") };
        let references = (0..count.parse().expect("a number")).map(|_: u32| next()).collect();
        let hash = NixHash::parse(&hash).expect("a hash");
        known.insert(path.to_owned(), (hash, size.parse().expect("a number"), deriver, references));
    }
    known
}

/// Asks for an environment, of which nothing is fetched, and returns its descriptor.
pub(crate) fn descriptor(client: &mut Command, spec: &Path) -> Value {
    let said = succeed(client.args(["fetch", "--absent", "--json"]).arg(spec));
    serde_json::from_str::<Value>(&said).expect("JSON")["descriptor"].clone()
}

/// Reads from a CAS what registers the closure of an environment.
pub(crate) fn registered(cas: &str, descriptor: &Value) -> BTreeMap<String, Facts> {
    facts(&text(&file(cas, descriptor, "registration")))
}

/// Reads a file of an environment from a CAS.
pub(crate) fn file(cas: &str, descriptor: &Value, path: &str) -> Vec<u8> {
    at(cas, descriptor, path).1.unwrap_or_else(|| panic!("`{path}` is no file")).to_vec()
}

/// Returns the names in a directory of an environment, in order.
pub(crate) fn names(cas: &str, descriptor: &Value, path: &str) -> Vec<String> {
    let directory = at(cas, descriptor, path).0.unwrap_or_else(|| panic!("`{path}` is no directory"));
    directory.iter().map(|(name, _)| name.to_owned()).collect()
}

/// Reads what stands at a path of an environment: a directory or a file.
fn at(cas: &str, descriptor: &Value, path: &str) -> (Option<Directory>, Option<Bytes>) {
    let root: Digest = descriptor["root"].as_str().expect("a digest").parse().expect("a digest");
    let function = root.function();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let link = Link::new(&cas.parse().expect("an address"), &Security::default()).expect("an address");
        let store = RemoteBlobStore::new(link, String::new(), function);
        let read = async |digest: &Digest| store.get(digest).await.expect("an answer").expect("it is there");
        let list = async |digest: &Digest| Directory::parse(function, &read(digest).await).expect("a Directory");
        let mut at = Node::Directory { digest: root };
        for name in path.split('/') {
            let Node::Directory { digest } = at else { panic!("`{path}` goes through a file") };
            at = list(&digest).await.get(name).unwrap_or_else(|| panic!("there is no `{path}`")).clone();
        }
        match at {
            Node::File { digest, .. } => (None, Some(read(&digest).await)),
            Node::Directory { digest } => (Some(list(&digest).await), None),
            Node::Symlink { .. } => (None, None),
        }
    })
}

/// Returns the store path of the first output.
pub(crate) fn output(descriptor: &Value) -> String {
    format!("/nix/store/{}", descriptor["nix"]["outputs"][0]["path"].as_str().expect("a name"))
}

/// Returns what a file in the first output holds, or the output itself.
pub(crate) fn content(cas: &str, descriptor: &Value) -> String {
    text(&file(cas, descriptor, &output(descriptor)[1..]))
}
