//! Listings and descriptors that are no closures, and stores that lead elsewhere.

use std::os::unix::fs::symlink;

use super::super::closure::{ClosureError, Facts};
use super::*;
use crate::spec::{DESCRIPTOR_VERSION, Descriptor, KindName, NixFacts, NixOutput, Provenance, Provides};
use crate::store::ListedFile;

fn file(path: &str) -> ListedFile {
    ListedFile { path: path.to_owned(), digest: FUNCTION.empty(), executable: false }
}

fn listing(directories: &[&str], files: &[&str], symlinks: &[&str]) -> Listing {
    Listing {
        directories: directories.iter().map(ToString::to_string).collect(),
        files: files.iter().map(|path| file(path)).chain([file("registration")]).collect(),
        symlinks: symlinks.iter().map(|path| ((*path).to_owned(), "/".to_owned())).collect(),
        directory_blobs: Vec::new(),
    }
}

#[test]
fn what_is_no_store_path_is_refused() {
    for name in ["..", ".", "x", ".links", ".envserve", &LIBRARY[..33], "0123456789abcdfghijklmnpqrsvwxyz-.."] {
        let path = format!("nix/store/{name}");
        for listing in
            [listing(&["nix", "nix/store", &path], &[], &[]), listing(&[], &[&path], &[]), listing(&[], &[], &[&path])]
        {
            assert!(matches!(Closure::of(listing), Err(ClosureError::Name(_))), "{name}");
        }
    }
}

#[test]
fn what_does_not_belong_into_a_closure_is_refused() {
    for listing in [
        listing(&[], &["nix"], &[]),
        listing(&[], &[], &["nix"]),
        listing(&["nix"], &[], &["nix/store"]),
        listing(&["nix", "nix/var"], &[], &[]),
        listing(&["etc"], &[], &[]),
        listing(&[], &["nix/.envserve/lock"], &[]),
        listing(&["registration"], &[], &[]),
    ] {
        let shown = format!("{listing:?}");
        assert!(matches!(Closure::of(listing), Err(ClosureError::Foreign { .. })), "{shown}");
    }
    let mut bare = listing(&["nix", "nix/store"], &[], &[]);
    bare.files.clear();
    assert!(matches!(Closure::of(bare), Err(ClosureError::Unregistered)));
}

#[tokio::test]
async fn exactly_the_paths_that_are_there_may_be_registered() {
    let world = World::new();
    let known = world.closure().await;
    let other = world.closure_of(&[(LIBRARY, &[("a", Entry::File("a"))])]).await;
    assert!(matches!(known.closure.check(&other.registration), Err(ClosureError::Open { .. })));
    assert!(matches!(other.closure.check(&known.registration), Err(ClosureError::Open { .. })));
}

#[test]
fn facts_that_cannot_be_used_are_refused() {
    let descriptor = |outputs: &[&str], variables: Option<(&str, &str)>| Descriptor {
        version: DESCRIPTOR_VERSION,
        kind: KindName::Nix,
        root: FUNCTION.empty(),
        tree: FUNCTION.empty(),
        provides: Provides::default(),
        image: None,
        checkpoint: None,
        nix: Some(NixFacts {
            outputs: outputs.iter().map(|path| NixOutput { name: "out".into(), path: (*path).into() }).collect(),
            variables: variables.map(|(name, value)| BTreeMap::from([(name.to_owned(), value.to_owned())])),
        }),
        provenance: Provenance { builder: String::new(), actions: vec![], built_at: 0, duration_ms: 0 },
    };
    let refused = |outputs: &[&str], variables| Facts::of(&descriptor(outputs, variables)).expect_err("unfit");
    assert!(matches!(refused(&[], None), ClosureError::NoOutput));
    for output in ["..", "/nix/store/x", "../../etc/passwd", &format!("{LIBRARY}/x")] {
        assert!(matches!(refused(&[output], None), ClosureError::Name(_)), "{output}");
    }
    for variable in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0")] {
        assert!(matches!(refused(&[LIBRARY], Some(variable)), ClosureError::Variable { .. }), "{variable:?}");
    }
    let facts = Facts::of(&descriptor(&[LIBRARY], Some(("A", "x")))).expect("fit").expect("of this kind");
    assert_eq!(facts.outputs[0].path, path(LIBRARY));
}

#[tokio::test]
async fn a_link_in_place_of_the_store_is_not_followed() {
    for name in ["nix", "nix/store", "nix/.envserve"] {
        let world = World::new();
        let (root, known) = (world.store(), world.closure().await);
        let elsewhere = world.directory.path().join("elsewhere");
        fs::create_dir_all(&elsewhere).expect("temporary");
        let at = root.path().join(name);
        fs::create_dir_all(at.parent().expect("below")).expect("temporary");
        symlink(&elsewhere, &at).expect("free");
        let error = world.make(&root, &known, Registering::No).await;
        assert!(matches!(error, Err(ClientError::Occupied { .. })), "{name}");
        assert_eq!(fs::read_dir(&elsewhere).expect("there").count(), 0, "{name}");
    }
}
