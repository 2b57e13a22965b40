//! Images that are not what they should be.

use super::*;
use crate::oci::{Exception, Metadata, Special};
use crate::spec::RelativePath;

async fn image(world: &World) -> Parts {
    let packed = world.path("packed");
    fs::create_dir_all(packed.join("etc")).expect("temporary");
    fs::write(packed.join("etc/file"), "text").expect("temporary");
    world.image(&[&packed]).await
}

/// Returns the image with other attributes of its root file system.
async fn with_attributes(world: &World, attributes: &[u8]) -> Parts {
    let parts = image(world).await;
    let store = world.store().await;
    let mut image = parts.image.clone();
    image.root_file_system.attributes = put(&store, attributes).await;
    world.parts(&store, &image, &parts.facts).await
}

fn exceptions(list: Vec<(&str, Exception)>) -> Vec<u8> {
    let parsed = |path: &str| RelativePath::parse(path).expect("good");
    Attributes { exceptions: list.into_iter().map(|(path, it)| (parsed(path), it)).collect() }.canonical()
}

#[tokio::test]
async fn attributes_that_do_not_fit_make_no_file() {
    let world = World::new();
    let link = |target: &str| Exception::HardLink { target: RelativePath::parse(target).expect("good") };
    let metadata = Metadata { uid: 7, ..Metadata::default() };
    for attributes in [
        b"not JSON".to_vec(),
        br#"{"exceptions":{"../out":{"uid":7}},"version":1}"#.to_vec(),
        exceptions(vec![("missing", Exception::Node(metadata.clone()))]),
        exceptions(vec![("etc/file/under", Exception::Special(Special::Fifo, metadata.clone()))]),
        exceptions(vec![("gone", Exception::Whiteout)]),
        exceptions(vec![("etc/file", link("etc"))]),
        exceptions(vec![("etc", Exception::Opaque(metadata))]),
    ] {
        let error = world.root(with_attributes(&world, &attributes).await).await;
        assert!(matches!(error, Err(ClientError::Image { .. })), "{}: {error:?}", String::from_utf8_lossy(&attributes));
        assert!(!world.path("client/images/owned/blake3").exists());
    }
}

#[tokio::test]
async fn a_configuration_or_manifest_of_another_image_is_noticed() {
    let world = World::new();
    let mut parts = image(&world).await;
    parts.facts.manifest = DigestFunction::Sha256.digest(b"another");
    let made = world.client.bring_layout(&parts, LayerCompression::None, world.path("x"), &nowhere(), &Quiet).await;
    assert!(matches!(made, Err(ClientError::Image { .. })));
    assert!(!world.path("x").exists());
    parts.facts.config = DigestFunction::Sha256.digest(b"another");
    assert!(matches!(world.root(parts).await, Err(ClientError::Image { .. })));
}

#[tokio::test]
async fn a_layer_that_is_not_what_its_digest_says_is_noticed() {
    let world = World::new();
    let mut parts = image(&world).await;
    parts.facts.layers[0] = DigestFunction::Sha256.digest(b"another");
    let made = world.client.bring_archive(&parts, "x:y", world.path("x.tar"), &nowhere(), &Quiet).await;
    let Err(ClientError::Image { source, .. }) = made else { panic!("it was made") };
    assert!(matches!(*source, ImageError::Differs { what: "layer", .. }), "{source}");
    assert!(!world.path("x.tar").exists());
}

#[tokio::test]
async fn a_tree_of_fewer_layers_than_the_descriptor_names_is_noticed() {
    let world = World::new();
    let parts = image(&world).await;
    let mut facts = parts.facts.clone();
    facts.layers.push(facts.layers[0]);
    let store = world.store().await;
    let tree = collect_tree(&store, parts.root).await.expect("complete");
    let mut descriptor = descriptor(parts.root, &facts);
    descriptor.image = Some(facts.clone());
    let read = Parts::read(&descriptor, &facts, &tree, &store).await;
    let Err(ClientError::Image { source, .. }) = read else { panic!("it was read") };
    assert!(matches!(*source, ImageError::Layers { named: 2, found: 1 }), "{source}");
}
