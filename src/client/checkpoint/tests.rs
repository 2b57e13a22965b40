//! Checkpoints made by hand: of a client that has all of their blobs, on a host that is said to be like the one where
//! they were made. The layers are what a real overlay has come to.

mod forms;
mod hostile;

use std::io::Cursor;
use std::process::Command;

use super::here::subject as of_programs;
use super::*;
use crate::checkpoint::tests::{facts, stated};
use crate::client::Quiet;
use crate::client::image::tests::{FUNCTION, World, assert_same, change, nowhere, packed, put};
use crate::oci::{LayerOptions, read_layer};
use crate::spec::{DESCRIPTOR_VERSION, KindName, Provenance, Provides, RelativePath};
use crate::store::{BlobStore, FileBlobStore, MerkleTree, Node, collect_tree};

/// What was written over the image in the first run.
const FIRST: &str =
    "rm etc/gone; rm -r old; mkdir old; echo new > old/file; echo one > data/first; chown 7:8 data/first
    mkdir data/closed; chmod 700 data/closed; rm data/link; ln -s first data/link; echo more >> data/grows
    mkfifo data/fifo; ln data/first data/other";
/// And in the second, over that.
const SECOND: &str = "rm old/file data/first; rm -r data/closed; echo two > data/closed; echo more >> data/grows
    rmdir sub/empty; mv sub/deep/file sub/deep/renamed";

/// A checkpoint with both forms.
struct Checkpoint {
    world: World,
    stored: Stored,
    facts: CheckpointFacts,
    descriptor: Descriptor,
    tree: Vec<u8>,
}

/// Runs a script with mounts of its own.
fn script(text: &str) {
    let script = format!("set -e; {text}");
    let output = Command::new("unshare").args(["--mount", "--", "sh", "-c", &script]).output().expect("util-linux");
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Returns what mounts layers over each other, the lowest first, at `/mnt`, where nothing is kept without an upper one.
fn overlay(lowers: &[PathBuf], upper: Option<&Path>) -> String {
    let lowers: Vec<String> = lowers.iter().rev().map(|path| path.display().to_string()).collect();
    let upper = upper.map(|path| format!(",upperdir={0},workdir={0}.work", path.display())).unwrap_or_default();
    format!("mount -t overlay overlay -o lowerdir={}{upper} /mnt; cd /mnt", lowers.join(":"))
}

/// Runs a script in what some layers come to, and returns its upper layer.
fn written(world: &World, lowers: &[PathBuf], name: &str, text: &str) -> PathBuf {
    let upper = world.path(name);
    fs::create_dir(&upper).expect("temporary");
    fs::create_dir(upper.with_extension("work")).expect("temporary");
    // The top of an overlay is like its upper layer.
    change(&upper, 0o755, 0, 0);
    script(&format!("{}; {text}", overlay(lowers, Some(&upper))));
    // Layers have full seconds.
    script(&format!("find {} -exec touch --no-dereference --date=@1000000005 {{}} +", upper.display()));
    upper
}

/// Makes what the image has.
fn image_directory(top: &Path) {
    for directory in ["etc", "old/inner", "data", "sub/empty", "sub/deep"] {
        fs::create_dir_all(top.join(directory)).expect("temporary");
    }
    for file in ["etc/gone", "etc/stays", "old/file", "old/inner/file", "data/grows", "sub/deep/file"] {
        fs::write(top.join(file), format!("{file} of the image\n")).expect("temporary");
    }
    std::os::unix::fs::symlink("grows", top.join("data/link")).expect("temporary");
    change(&top.join("data"), 0o750, 7, 8);
    change(&top.join("sub/deep/file"), 0o600, 9, 9);
    script(&format!("find {} -exec touch --no-dereference --date=@1000000000 {{}} +", top.display()));
}

/// Returns the tree of a directory of files.
async fn memory_tree(store: &FileBlobStore, files: &[(&str, Vec<u8>)]) -> Digest {
    let mut tree = MerkleTree::default();
    for (path, bytes) in files {
        let node = Node::File { digest: put(store, bytes).await, executable: false };
        tree.insert(&RelativePath::parse(path).expect("good"), node).expect("free");
    }
    let (root, directories) = tree.encode(FUNCTION);
    store.put_batch(directories).await.expect("right");
    root
}

impl Checkpoint {
    /// Makes one whose image and layers lie in `image`, `layer-0` and `layer-1` of the world.
    async fn new(memory: &[(&str, Vec<u8>)]) -> Self {
        let world = World::new();
        let image = world.path("image");
        image_directory(&image);
        let first = written(&world, std::slice::from_ref(&image), "layer-0", FIRST);
        let second = written(&world, &[image.clone(), first.clone()], "layer-1", SECOND);
        let parts = world.image(&[&image]).await;
        let store = world.store().await;
        let mut layers = Vec::new();
        for upper in [first, second] {
            let (archive, options) =
                (Cursor::new(packed(&upper)), LayerOptions { overlay: true, ..LayerOptions::default() });
            let read = read_layer(archive, &store, FUNCTION, &world.path(""), options).await.expect("a layer");
            layers.push(StoredLayer { root: read.root, attributes: put(&store, &read.attributes.canonical()).await });
        }
        let mut facts = facts();
        facts.image = parts.facts.clone();
        let memory = Some(memory_tree(&store, memory).await);
        let checkpoint = Self::of(world, Stored { image: parts.root, layers, memory }, facts).await;
        checkpoint.be_like(&checkpoint.facts.made.host);
        checkpoint
    }

    async fn of(world: World, stored: Stored, facts: CheckpointFacts) -> Self {
        let store = world.store().await;
        let mut tree = MerkleTree::default();
        for (path, node) in stored.nodes() {
            tree.insert(&path, node).expect("free");
        }
        let (root, directories) = tree.encode(FUNCTION);
        store.put_batch(directories).await.expect("right");
        let tree = collect_tree(&store, root).await.expect("complete");
        let descriptor = Descriptor {
            version: DESCRIPTOR_VERSION,
            kind: KindName::Checkpoint,
            root,
            tree: FUNCTION.empty(),
            provides: Provides { path: Vec::new(), vars: std::collections::BTreeMap::new() },
            nix: None,
            image: None,
            checkpoint: Some(facts.clone()),
            provenance: Provenance { builder: String::new(), actions: Vec::new(), built_at: 0, duration_ms: 0 },
        };
        Self { world, stored, facts, descriptor, tree }
    }

    /// Returns it with other parts, which are here.
    async fn with(self, change: impl FnOnce(&mut Stored, &mut CheckpointFacts)) -> Self {
        let Self { world, mut stored, mut facts, .. } = self;
        change(&mut stored, &mut facts);
        Self::of(world, stored, facts).await
    }

    /// Has this host be one with that fingerprint.
    fn be_like(&self, host: &crate::spec::Fingerprint) {
        let criu = self.world.path("criu");
        fs::write(&criu, "never run").expect("temporary");
        let runc = crate::host::find("runc").expect("it is installed");
        self.world.client.memo.put(&of_programs(&criu, &runc).expect("they are there"), host);
    }

    /// Brings it to this host.
    async fn bring(&self, start: Start) -> Result<Prepared, ClientError> {
        let (descriptor, facts, cas) = (&self.descriptor, &self.facts, nowhere());
        let brought = self.world.client.bring_checkpoint(descriptor, facts, start, &self.tree, &cas, &Quiet);
        match brought.await? {
            Brought::Here { place, downloaded: 0 } => Ok(place),
            Brought::Here { downloaded, .. } => panic!("{downloaded} bytes came from nowhere"),
            Brought::Lost(lost) => panic!("{lost:?}"),
        }
    }

    async fn present(&self, start: Start) -> Option<Prepared> {
        self.world.client.present_checkpoint(&self.descriptor, &self.facts, start).await.expect("a form")
    }
}
