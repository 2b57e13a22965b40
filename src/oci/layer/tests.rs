use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::super::attributes::{Attributes, Exception, Metadata, Special};
use super::super::media_type::LayerCompression;
use super::*;
use crate::digest::{Digest, DigestFunction};
use crate::spec::RelativePath;
use crate::store::{BATCH_BYTES, BlobStore, MemoryBlobStore, MerkleTree, Node};

mod hostile;
mod overlay;
mod with_tar;

const FUNCTION: DigestFunction = DigestFunction::Blake3;
const FORMS: [LayerCompression; 3] = [LayerCompression::None, LayerCompression::Gzip, LayerCompression::Zstd];

fn path(text: &str) -> RelativePath {
    RelativePath::parse(text).expect("relative")
}

async fn written(store: &MemoryBlobStore, root: Digest, attributes: &Attributes) -> Vec<u8> {
    let (facts, bytes) = form(store, root, attributes, LayerCompression::None).await;
    assert!(facts.archive == facts.blob);
    bytes
}

async fn form(
    store: &MemoryBlobStore,
    root: Digest,
    attributes: &Attributes,
    compression: LayerCompression,
) -> (WrittenLayer, Vec<u8>) {
    let scratch = tempfile::tempdir().expect("temporary");
    let layer = write_layer(store, root, attributes, compression, scratch.path(), Vec::new()).await;
    let (facts, bytes) = layer.expect("whole");
    assert_eq!(facts.blob, DigestFunction::Sha256.digest(&bytes));
    (facts, bytes)
}

async fn read(store: &MemoryBlobStore, bytes: &[u8]) -> Result<ReadLayer, LayerError> {
    read_with(store, bytes, LayerOptions::default()).await
}

async fn read_with(store: &MemoryBlobStore, bytes: &[u8], options: LayerOptions) -> Result<ReadLayer, LayerError> {
    let scratch = tempfile::tempdir().expect("temporary");
    read_layer(Cursor::new(bytes.to_vec()), store, FUNCTION, scratch.path(), options).await
}

/// Stores a tree of files with content, and symlinks.
async fn tree(store: &MemoryBlobStore, files: &[(&str, &[u8], bool)], links: &[(&str, &str)]) -> Digest {
    let mut tree = MerkleTree::default();
    for (at, bytes, executable) in files {
        let digest = (store as &dyn BlobStore).put(FUNCTION, bytes.to_vec().into()).await.expect("memory");
        tree.insert(&path(at), Node::File { digest, executable: *executable }).expect("free");
    }
    for (at, target) in links {
        tree.insert(&path(at), Node::Symlink { target: (*target).into() }).expect("free");
    }
    let (root, directories) = tree.encode(FUNCTION);
    store.put_batch(directories).await.expect("memory");
    root
}

fn long(letter: &str) -> String {
    [letter.repeat(200), letter.repeat(200)].join("/")
}

/// A layer with every kind of entry, and with everything that ustar cannot hold.
async fn everything(store: &MemoryBlobStore) -> (Digest, Attributes) {
    let large: Vec<u8> = (0..3 * BATCH_BYTES + 5).map(|index| u8::try_from(index % 251).expect("small")).collect();
    let (name, target) = (long("n"), long("t"));
    let files: [(&str, &[u8], bool); 9] = [
        ("bin/ping", b"#!", true),
        ("bin/same", b"#!", true),
        ("dev/empty", b"", false),
        ("directory/large", &large, false),
        ("directory.txt", b"sorted between", false),
        ("etc/new", b"x", false),
        (&name, b"long", false),
        ("é/ü", b"not ASCII", false),
        ("é/ü2", b"not ASCII", false),
    ];
    let links = [("bin/link", "ping"), ("lib", "/usr/lib"), ("long", &*target), ("é/l", "ü")];
    let root = tree(store, &files, &links).await;
    let capability = vec![1, 0, 0, 2, 10, 0, b'=', 0];
    let metadata = Metadata {
        mode: Some(0o4755),
        uid: 3_000_000,
        gid: u32::MAX,
        mtime: 1 << 40,
        xattrs: BTreeMap::from([("security.capability".into(), capability), ("user.é".into(), Vec::new())]),
    };
    let owned = Metadata { uid: 7, mtime: 12, ..Metadata::default() };
    let special = |special| Exception::Special(special, Metadata { mode: Some(0o666), ..owned.clone() });
    let exceptions = [
        ("", Exception::Node(Metadata { mode: Some(0o700), ..Metadata::default() })),
        ("bin/ping", Exception::Node(metadata.clone())),
        ("bin/same", Exception::HardLink { target: path("bin/ping") }),
        ("bin/link", Exception::Node(owned.clone())),
        ("dev/null", special(Special::Char { major: 1, minor: 3 })),
        ("dev/sda", special(Special::Block { major: 4095, minor: 1_048_575 })),
        ("dev/fifo", special(Special::Fifo)),
        ("directory", Exception::Opaque(owned.clone())),
        ("etc", Exception::Implied { opaque: false }),
        ("etc/old", Exception::Whiteout),
        ("é", Exception::Implied { opaque: true }),
        ("é/ü2", Exception::HardLink { target: path("é/ü") }),
    ];
    (root, Attributes { exceptions: exceptions.into_iter().map(|(at, exception)| (path(at), exception)).collect() })
}

#[tokio::test]
async fn what_was_written_is_read_again_in_every_form() {
    let store = MemoryBlobStore::default();
    let (root, attributes) = everything(&store).await;
    for compression in FORMS {
        let (facts, bytes) = form(&store, root, &attributes, compression).await;
        let (again, same) = form(&store, root, &attributes, compression).await;
        assert!(again == facts && same == bytes, "{compression:?}");
        let empty = MemoryBlobStore::default();
        let read = read(&empty, &bytes).await.expect("valid");
        assert_eq!((read.archive, read.blob), (facts.archive, facts.blob), "{compression:?}");
        assert_eq!((read.root, &read.attributes), (root, &attributes), "{compression:?}");
        assert!(written(&empty, read.root, &read.attributes).await == written(&store, root, &attributes).await);
    }
}

#[tokio::test]
async fn the_form_of_an_archive_does_not_change() {
    let store = MemoryBlobStore::default();
    let (root, attributes) = everything(&store).await;
    let archive = DigestFunction::Sha256.digest(&written(&store, root, &attributes).await);
    assert_eq!(archive.to_string(), "aed0e6cf1309fabd4bcd61552dc9441056e77044cd033cf5ee7a8baa36446026/3171328");
    let root = tree(&store, &[], &[]).await;
    assert_eq!(written(&store, root, &Attributes::default()).await, [0; 2 * BLOCK]);
}

#[tokio::test]
async fn a_tree_that_is_not_whole_is_not_written() {
    let store = MemoryBlobStore::default();
    let lost = DigestFunction::Blake3.digest(b"lost");
    for size in [1, BATCH_BYTES + 1] {
        let mut tree = MerkleTree::default();
        let digest = Digest::parse(FUNCTION, &lost.hash(), size).expect("valid");
        tree.insert(&path("a"), Node::File { digest, executable: false }).expect("free");
        let (root, directories) = tree.encode(FUNCTION);
        store.put_batch(directories).await.expect("memory");
        let scratch = tempfile::tempdir().expect("temporary");
        let none = Attributes::default();
        let error = write_layer(&store, root, &none, LayerCompression::None, scratch.path(), Vec::new()).await;
        assert!(matches!(error, Err(LayerError::Store(_))), "{error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn any_tree_with_attributes_comes_back(
        files in prop::collection::btree_map("[a-c]{1,2}(/[a-cé]{1,3}){0,2}", (0..3_u8, any::<bool>()), 0..8),
        owners in prop::collection::vec((any::<prop::sample::Index>(), 0..5_u32, 0..0o1000_u16, any::<u32>()), 0..5),
        specials in prop::collection::btree_set("[x-z]{1,2}", 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let store = MemoryBlobStore::default();
            let mut kept: Vec<(&str, &[u8], bool)> = Vec::new();
            let contents: [&[u8]; 3] = [b"", b"one", &[7; 600]];
            for (at, (content, executable)) in &files {
                let clash = |other: &str| at.starts_with(&format!("{other}/"));
                if !kept.iter().any(|(other, ..)| clash(other)) {
                    kept.push((at, contents[usize::from(*content)], *executable));
                }
            }
            // What sorts before its own directory by bytes is sorted out here.
            let names: Vec<String> = kept.iter().map(|(at, ..)| (*at).to_owned()).collect();
            kept.retain(|(at, ..)| !names.iter().any(|other| other.starts_with(&format!("{at}/"))));
            let root = tree(&store, &kept, &[]).await;
            let mut attributes = Attributes::default();
            for (index, uid, mode, mtime) in &owners {
                let Some((at, _, executable)) = kept.get(index.index(kept.len().max(1))) else { continue };
                let mode = (mode & 0o7677) | if *executable { 0o100 } else { 0 };
                let default = if *executable { 0o755 } else { 0o644 };
                let mode = (mode != default).then_some(mode);
                let metadata = Metadata { mode, uid: *uid, mtime: (*mtime).into(), ..Metadata::default() };
                if metadata != Metadata::default() {
                    attributes.exceptions.insert(path(at), Exception::Node(metadata));
                }
            }
            for (index, at) in specials.iter().enumerate() {
                let exception = if index % 2 == 0 {
                    Exception::Whiteout
                } else {
                    Exception::Special(Special::Fifo, Metadata::default())
                };
                attributes.exceptions.insert(path(at), exception);
            }
            let bytes = written(&store, root, &attributes).await;
            let read = read(&store, &bytes).await.expect("valid");
            assert_eq!((read.root, &read.attributes), (root, &attributes));
            assert!(written(&store, read.root, &read.attributes).await == bytes);
            let parsed = Attributes::parse(&attributes.canonical()).expect("canonical");
            assert_eq!(parsed, attributes);
        });
    }
}
