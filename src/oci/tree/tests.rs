use super::*;
use crate::store::{BlobStore, MemoryBlobStore, MerkleTree, collect_tree};

const FUNCTION: DigestFunction = DigestFunction::Blake3;

fn path(text: &str) -> RelativePath {
    RelativePath::parse(text).expect("relative")
}

/// A tree with the files `a`, `b` and `d/c`, of which the first two are equal, the program `p` and the link `s`.
async fn listing() -> Listing {
    let mut tree = MerkleTree::default();
    let file = |text: &str, executable| Node::File { digest: FUNCTION.digest(text.as_bytes()), executable };
    for (at, text) in [("a", "x"), ("b", "x"), ("d/c", "y")] {
        tree.insert(&path(at), file(text, false)).expect("free");
    }
    tree.insert(&path("p"), file("#!", true)).expect("free");
    tree.insert(&path("s"), Node::Symlink { target: "a".into() }).expect("free");
    tree.directory(&path("e")).expect("free");
    let (root, blobs) = tree.encode(FUNCTION);
    let store = MemoryBlobStore::default();
    store.put_batch(blobs).await.expect("memory");
    let tree = collect_tree(&store, root).await.expect("whole");
    Listing::parse(root, &tree).expect("valid")
}

fn attributes(exceptions: &[(&str, Exception)]) -> Attributes {
    Attributes { exceptions: exceptions.iter().map(|(at, exception)| (path(at), exception.clone())).collect() }
}

fn mode(mode: u16) -> Exception {
    Exception::Node(Metadata { mode: Some(mode), ..Metadata::default() })
}

fn link(target: &str) -> Exception {
    Exception::HardLink { target: path(target) }
}

fn owned() -> Metadata {
    Metadata { uid: 1, ..Metadata::default() }
}

#[tokio::test]
async fn what_was_joined_is_parted_again() {
    let listing = listing().await;
    let written = attributes(&[
        ("", Exception::Opaque(Metadata::default())),
        ("a", mode(0o600)),
        ("b", link("a")),
        ("d", Exception::Implied { opaque: true }),
        ("d/c", Exception::Node(owned())),
        ("d/gone", Exception::Whiteout),
        ("e", Exception::Opaque(owned())),
        ("e/fifo", Exception::Special(Special::Fifo, owned())),
        ("p", mode(0o4755)),
        ("s", Exception::Node(owned())),
    ]);
    let layer = Branch::join(&listing, &written).expect("they fit");
    layer.check_implied("").expect("something implies it");
    let (root, blobs, read) = layer.part(FUNCTION);
    assert_eq!(read, written);
    assert!(blobs.iter().any(|(digest, _)| *digest == root) && listing.directory_blobs.contains(&root));
}

#[tokio::test]
async fn attributes_that_do_not_fit_are_refused() {
    let listing = listing().await;
    let node = || Exception::Node(Metadata::default());
    let fifo = || Exception::Special(Special::Fifo, Metadata::default());
    for bad in [
        ("x", mode(0o600)),
        ("x/y", Exception::Whiteout),
        ("a/y", Exception::Whiteout),
        ("a", Exception::Whiteout),
        ("d", Exception::Whiteout),
        (".wh.x", fifo()),
        ("a", fifo()),
        ("d", fifo()),
        ("a", node()),
        ("a", mode(0o644)),
        ("a", mode(0o700)),
        ("p", mode(0o600)),
        ("d", mode(0o755)),
        ("d", node()),
        ("s", mode(0o700)),
        ("a", Exception::Opaque(owned())),
        ("a", Exception::Implied { opaque: false }),
        ("", Exception::Implied { opaque: false }),
        ("", Exception::Whiteout),
        ("a", link("b")),
        ("b", link("b")),
        ("b", link("x")),
        ("d/c", link("a")),
        ("p", link("d")),
        ("s", link("a")),
        ("x", link("a")),
    ] {
        let error = Branch::join(&listing, &attributes(std::slice::from_ref(&bad)));
        assert!(matches!(error, Err(LayerError::Attributes { .. })), "{bad:?}: {error:?}");
    }
    let implied =
        Branch::join(&listing, &attributes(&[("e", Exception::Implied { opaque: false })])).expect("it is there");
    assert!(matches!(implied.check_implied(""), Err(LayerError::Attributes { .. })));
}

#[tokio::test]
async fn a_link_to_a_link_is_refused() {
    let mut listing = listing().await;
    let mut third = listing.files[1].clone();
    third.path = "c".into();
    listing.files.push(third);
    Branch::join(&listing, &attributes(&[("b", link("a")), ("c", link("a"))])).expect("they fit");
    let error = Branch::join(&listing, &attributes(&[("b", link("a")), ("c", link("b"))]));
    assert!(matches!(error, Err(LayerError::Attributes { .. })), "{error:?}");
}
