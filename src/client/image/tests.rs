//! Images made by hand, put on the disk of a client that has all of their blobs, and shown to other programs.
//!
//! They have what only root can make, as whom tests run.

mod hostile;
mod roots;
mod with_tools;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Cursor;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lgetxattr, llistxattr, lsetxattr, makedev, mknodat,
    utimensat,
};
use tempfile::TempDir;

use super::parts::Parts;
use super::*;
use crate::client::{ClientOptions, Quiet};
use crate::digest::{Digest, DigestFunction};
use crate::oci::{
    Annotations, Attributes, Descriptor as OciDescriptor, Family, ImageConfig, Layer, LayerOptions, Manifest,
    MediaType, Platform, StoredImage, StoredLayer, apply_layers, read_layer,
};
use crate::spec::{DESCRIPTOR_VERSION, KindName, Provenance, Provides};
use crate::store::{BlobStore, FileBlobStore, MerkleTree, RemoteBlobStore, collect_tree};
use crate::transport::{Link, Security};

pub(in crate::client) const FUNCTION: DigestFunction = DigestFunction::Blake3;
/// `cap_net_raw+ep`.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Tells a name from the others of a user.
const NOTE: &str = "user.note";

/// A client and directories beside it.
pub(in crate::client) struct World {
    directory: TempDir,
    pub(in crate::client) client: Client,
}

impl World {
    pub(in crate::client) fn new() -> Self {
        let directory = TempDir::new().expect("temporary");
        let criu = Some(directory.path().join("criu"));
        let client = Client::new(ClientOptions { criu, ..ClientOptions::new(directory.path().join("client")) });
        Self { directory, client }
    }

    pub(in crate::client) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(in crate::client) async fn store(&self) -> FileBlobStore {
        self.client.store().await.expect("new").clone()
    }

    /// Returns the image whose layers are these directories, packed by tar.
    pub(in crate::client) async fn image(&self, layers: &[&Path]) -> Parts {
        let store = self.store().await;
        let mut stored = Vec::new();
        let mut archives = Vec::new();
        for directory in layers {
            let scratch = self.directory.path();
            let read = read_layer(Cursor::new(packed(directory)), &store, FUNCTION, scratch, LayerOptions::default());
            let read = read.await.expect("a layer");
            // What is written of it again is what names it: tar may have packed it otherwise.
            let written = crate::oci::write_layer(
                &store,
                read.root,
                &read.attributes,
                LayerCompression::None,
                scratch,
                std::io::sink(),
            );
            archives.push(written.await.expect("whole").0.archive);
            stored.push(Layer { root: read.root, attributes: read.attributes });
        }
        self.image_of(&store, stored, archives).await
    }

    async fn image_of(&self, store: &FileBlobStore, layers: Vec<Layer>, archives: Vec<Digest>) -> Parts {
        let whole = apply_layers(store, FUNCTION, &layers).await.expect("they fit");
        let mut config = ImageConfig::new(Platform::linux("amd64"));
        let oci = |digest: &Digest| OciDigest::from_digest(digest).expect("SHA-256");
        config.diff_ids = archives.iter().map(oci).collect();
        config.execution.cmd = vec!["/bin/run".into()];
        let named = |digest: &Digest| OciDescriptor {
            media_type: MediaType::Layer(Family::Oci, LayerCompression::None),
            digest: oci(digest),
            size: digest.size(),
            annotations: Annotations::new(),
            platform: None,
        };
        let config = config.canonical();
        let manifest = Manifest {
            family: Family::Oci,
            config: OciDescriptor::of(MediaType::Config(Family::Oci), &config),
            layers: archives.iter().map(named).collect(),
            annotations: Annotations::new(),
        };
        let facts = ImageFacts {
            manifest: manifest.descriptor().blob(),
            config: DigestFunction::Sha256.digest(&config),
            layers: archives,
        };
        let mut parts = Vec::new();
        for layer in layers.iter().chain([&whole]) {
            parts.push(StoredLayer { root: layer.root, attributes: put(store, &layer.attributes.canonical()).await });
        }
        let root_file_system = parts.pop().expect("the whole is the last");
        let image = StoredImage {
            manifest: put(store, &manifest.canonical()).await,
            config: put(store, &config).await,
            layers: parts,
            root_file_system,
        };
        self.parts(store, &image, &facts).await
    }

    async fn parts(&self, store: &FileBlobStore, image: &StoredImage, facts: &ImageFacts) -> Parts {
        let mut tree = MerkleTree::default();
        for (path, node) in image.nodes() {
            tree.insert(&path, node).expect("free");
        }
        let (root, directories) = tree.encode(FUNCTION);
        store.put_batch(directories).await.expect("right");
        let tree = collect_tree(store, root).await.expect("complete");
        let descriptor = descriptor(root, facts);
        Parts::read(&descriptor, facts, &tree, store).await.expect("an image")
    }

    /// Makes the root file system, of which everything is here.
    async fn root(&self, parts: Parts) -> Result<PathBuf, ClientError> {
        match self.client.bring_root(parts, &nowhere(), &Quiet).await? {
            Brought::Here { place, downloaded: 0 } => Ok(place),
            Brought::Here { downloaded, .. } => panic!("{downloaded} bytes came from nowhere"),
            Brought::Lost(lost) => panic!("{lost:?}"),
        }
    }
}

/// Returns the descriptor of an image.
fn descriptor(root: Digest, facts: &ImageFacts) -> Descriptor {
    Descriptor {
        version: DESCRIPTOR_VERSION,
        kind: KindName::Image,
        root,
        tree: FUNCTION.empty(),
        provides: Provides { path: Vec::new(), vars: BTreeMap::new() },
        nix: None,
        image: Some(facts.clone()),
        checkpoint: None,
        provenance: Provenance { builder: String::new(), actions: Vec::new(), built_at: 0, duration_ms: 0 },
    }
}

pub(in crate::client) async fn put(store: &FileBlobStore, bytes: &[u8]) -> Digest {
    let store: &dyn BlobStore = store;
    store.put(FUNCTION, Bytes::copy_from_slice(bytes)).await.expect("right")
}

/// Returns a CAS that nobody can reach: what these tests need is here.
pub(in crate::client) fn nowhere() -> Reached {
    let link = Link::new(&"unix:/nowhere".parse().expect("an address"), &Security::default()).expect("an address");
    Reached { blobs: RemoteBlobStore::new(link, String::new(), FUNCTION), latency: Duration::ZERO }
}

pub(in crate::client) fn packed(directory: &Path) -> Vec<u8> {
    let options = ["--format=pax", "--numeric-owner", "--sort=name", "--xattrs", "--xattrs-include=*", "-c", "-C"];
    let output = Command::new("tar").args(options).arg(directory).arg(".").output().expect("tar is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn age(path: &Path, second: i64) {
    let time = Timespec { tv_sec: second, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("ours");
}

pub(in crate::client) fn change(path: &Path, mode: u32, uid: u32, gid: u32) {
    lchown(path, Some(uid), Some(gid)).expect("root");
    if !fs::symlink_metadata(path).expect("there").is_symlink() {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("root");
    }
}

/// Makes a directory that has everything that layers carry.
fn everything(top: &Path) {
    for directory in ["bin", "dev", "etc/closed", "tmp", "usr/lib"] {
        fs::create_dir_all(top.join(directory)).expect("temporary");
    }
    let file = |path: &str, text: &[u8], mode, uid, gid| {
        fs::write(top.join(path), text).expect("temporary");
        change(&top.join(path), mode, uid, gid);
    };
    file("bin/run", b"#!", 0o755, 0, 0);
    file("bin/ping", b"ping", 0o4755, 0, 0);
    file("bin/write", b"write", 0o2755, 0, 5);
    file("bin/raw", b"raw", 0o755, 0, 0);
    lsetxattr(top.join("bin/raw"), "security.capability", &CAPABILITY, XattrFlags::empty()).expect("root");
    file("etc/shadow", b"secret", 0o640, 0, 42);
    file("etc/nothing", b"", 0o000, 0, 0);
    file("etc/note", b"same", 0o644, 0, 0);
    lsetxattr(top.join("etc/note"), NOTE, b"a\0b", XattrFlags::empty()).expect("supported");
    file("etc/same", b"same", 0o644, 0, 0);
    file("etc/same-too", b"same", 0o644, 0, 0);
    file("etc/closed/large", &[7; 3 << 20], 0o600, 1000, 1000);
    fs::hard_link(top.join("etc/shadow"), top.join("usr/lib/shadow")).expect("temporary");
    fs::hard_link(top.join("bin/ping"), top.join("bin/ping6")).expect("temporary");
    symlink("/etc/passwd", top.join("etc/absolute")).expect("temporary");
    symlink("../../../../../out", top.join("etc/outside")).expect("temporary");
    change(&top.join("etc/outside"), 0, 7, 8);
    let node = |path: &str, kind, device, mode, uid| {
        mknodat(CWD, top.join(path), kind, Mode::RUSR, device).expect("root");
        change(&top.join(path), mode, uid, 0);
    };
    node("dev/null", FileType::CharacterDevice, makedev(1, 3), 0o666, 0);
    node("dev/disk", FileType::BlockDevice, makedev(8, 1), 0o660, 3);
    node("dev/fifo", FileType::Fifo, 0, 0o622, 9);
    change(&top.join("tmp"), 0o1777, 0, 0);
    change(&top.join("etc/closed"), 0o500, 1000, 1000);
    lsetxattr(top.join("usr"), NOTE, b"directory", XattrFlags::empty()).expect("supported");
    for (number, path) in below(top).iter().enumerate() {
        age(path, 1_000_000_000 + i64::try_from(number).expect("few"));
    }
}

/// Returns everything below a directory and then itself, what is contained before what contains it.
fn below(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut names: Vec<PathBuf> =
        fs::read_dir(top).expect("readable").map(|entry| entry.expect("readable").path()).collect();
    names.sort();
    for path in names {
        if fs::symlink_metadata(&path).expect("there").is_dir() {
            found.extend(below(&path));
        } else {
            found.push(path);
        }
    }
    found.push(top.to_owned());
    found
}

/// What is looked at of a file.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    device: u64,
    xattrs: BTreeMap<String, Vec<u8>>,
    /// Bytes of a file, target of a link.
    content: Vec<u8>,
}

fn look(top: &Path) -> BTreeMap<PathBuf, Look> {
    let look = |path: PathBuf| {
        let found = fs::symlink_metadata(&path).expect("there");
        let kind = found.file_type();
        let content = match (kind.is_file(), kind.is_symlink()) {
            (true, _) => fs::read(&path).expect("readable"),
            (_, true) => fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes(),
            (false, false) => Vec::new(),
        };
        let device = if kind.is_char_device() || kind.is_block_device() { found.rdev() } else { 0 };
        let look = Look {
            mode: found.mode(),
            owner: (found.uid(), found.gid()),
            mtime: (found.mtime(), found.mtime_nsec()),
            device,
            xattrs: xattrs(&path),
            content,
        };
        (path.strip_prefix(top).expect("below").to_owned(), look)
    };
    below(top).into_iter().map(look).collect()
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 4096];
    let length = llistxattr(path, &mut names[..]).expect("supported");
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 4096];
        let length = lgetxattr(path, name, &mut value[..]).expect("there");
        (String::from_utf8_lossy(name).into_owned(), value[..length].to_vec())
    };
    names.map(value).collect()
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).expect("there").ino()
}

#[track_caller]
pub(in crate::client) fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (look(one), look(other));
    let paths = |looks: &BTreeMap<PathBuf, Look>| looks.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&one), paths(&other));
    for (path, look) in &one {
        assert_eq!(look, &other[path], "{}", path.display());
    }
}
