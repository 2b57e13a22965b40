use super::super::attributes::{Exception, Metadata, Special};
use super::*;
use crate::spec::RelativePath;
use crate::store::{MemoryBlobStore, MerkleTree, Node};

const FUNCTION: DigestFunction = DigestFunction::Blake3;

fn path(text: &str) -> RelativePath {
    RelativePath::parse(text).expect("relative")
}

/// Stores a layer of files with those texts, symlinks (`->`), directories (`/`), and exceptions.
async fn layer(store: &dyn BlobStore, entries: &[(&str, &str)], exceptions: &[(&str, Exception)]) -> Layer {
    let mut tree = MerkleTree::default();
    for (at, text) in entries {
        match text.strip_prefix("->") {
            Some(target) => tree.insert(&path(at), Node::Symlink { target: target.into() }).expect("free"),
            None if *text == "/" => tree.directory(&path(at)).expect("free"),
            None => {
                let digest = FUNCTION.digest(text.as_bytes());
                tree.insert(&path(at), Node::File { digest, executable: false }).expect("free");
            }
        }
    }
    let (root, directories) = tree.encode(FUNCTION);
    store.put_batch(directories).await.expect("memory");
    let exceptions = exceptions.iter().map(|(at, exception)| (path(at), exception.clone())).collect();
    Layer { root, attributes: Attributes { exceptions } }
}

fn owned(uid: u32) -> Exception {
    Exception::Node(Metadata { uid, ..Metadata::default() })
}

const IMPLIED: Exception = Exception::Implied { opaque: false };

#[tokio::test]
async fn one_layer_is_what_it_is() {
    let store = MemoryBlobStore::default();
    let fifo = Exception::Special(Special::Fifo, Metadata::default());
    let link = Exception::HardLink { target: path("a") };
    let one =
        layer(&store, &[("a", "x"), ("b", "x"), ("d", "/")], &[("a", owned(1)), ("b", link), ("d/f", fifo)]).await;
    assert_eq!(apply_layers(&store, FUNCTION, std::slice::from_ref(&one)).await.expect("whole"), one);
    let nothing = apply_layers::<Layer>(&store, FUNCTION, &[]).await.expect("whole");
    assert_eq!(nothing, layer(&store, &[], &[]).await);
}

#[tokio::test]
async fn upper_layers_hide_replace_and_add() {
    let store = MemoryBlobStore::default();
    let lower = layer(
        &store,
        &[
            ("etc/a", "1"),
            ("etc/b", "1"),
            ("etc/c", "1"),
            ("opt/x", "1"),
            ("run/x", "1"),
            ("tmp", "/"),
            ("f", "1"),
            ("g/h", "1"),
        ],
        &[("etc", owned(1)), ("opt", owned(2)), ("run", owned(3)), ("etc/a", owned(4))],
    )
    .await;
    let upper = layer(
        &store,
        &[("etc/a", "2"), ("etc/n", "2"), ("opt/y", "2"), ("run/y", "2"), ("f/x", "2"), ("g", "2")],
        &[
            ("etc", IMPLIED),
            ("etc/b", Exception::Whiteout),
            ("opt", Exception::Opaque(Metadata::default())),
            ("run", Exception::Implied { opaque: true }),
            ("tmp", Exception::Whiteout),
            ("nothing", Exception::Whiteout),
        ],
    )
    .await;
    let whole = apply_layers(&store, FUNCTION, &[lower, upper]).await.expect("whole");
    let expected = layer(
        &store,
        &[("etc/a", "2"), ("etc/c", "1"), ("etc/n", "2"), ("opt/y", "2"), ("run/y", "2"), ("f/x", "2"), ("g", "2")],
        &[("etc", owned(1)), ("run", owned(3))],
    )
    .await;
    assert_eq!(whole, expected);
    let again = apply_layers(&store, FUNCTION, std::slice::from_ref(&whole)).await.expect("whole");
    assert_eq!(again, whole);
}

#[tokio::test]
async fn a_link_whose_first_name_goes_away_keeps_its_file() {
    let store = MemoryBlobStore::default();
    let link = || Exception::HardLink { target: path("a") };
    let lower =
        layer(&store, &[("a", "x"), ("b", "x"), ("c", "x")], &[("a", owned(1)), ("b", link()), ("c", link())]).await;
    let upper = layer(&store, &[], &[("a", Exception::Whiteout)]).await;
    let whole = apply_layers(&store, FUNCTION, &[lower, upper]).await.expect("whole");
    let link = Exception::HardLink { target: path("b") };
    assert_eq!(whole, layer(&store, &[("b", "x"), ("c", "x")], &[("b", owned(1)), ("c", link)]).await);
}

#[tokio::test]
async fn what_is_implied_alone_has_the_default_attributes_and_leads_through_nothing() {
    let store = MemoryBlobStore::default();
    let implied = layer(&store, &[("d/x", "1")], &[("d", IMPLIED)]).await;
    let whole = apply_layers(&store, FUNCTION, std::slice::from_ref(&implied)).await.expect("whole");
    assert_eq!(whole, layer(&store, &[("d/x", "1")], &[]).await);
    for text in ["->/etc", "file"] {
        let lower = layer(&store, &[("d", text)], &[]).await;
        let error = apply_layers(&store, FUNCTION, &[lower, implied.clone()]).await;
        assert!(matches!(error, Err(LayerError::Entry { .. })), "{error:?}");
    }
}

#[tokio::test]
async fn a_layer_that_is_not_there_is_told() {
    let store = MemoryBlobStore::default();
    let lost = Layer { root: FUNCTION.digest(b"lost"), attributes: Attributes::default() };
    assert!(matches!(apply_layers(&store, FUNCTION, &[lost]).await, Err(LayerError::Store(_))));
}
