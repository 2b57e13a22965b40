//! What an image has to be to be taken.

use super::*;
use crate::oci::DocumentError;

fn layers(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| bytes(1000 + number)).collect()
}

#[tokio::test]
async fn a_pinned_image_is_pulled() {
    let layers = layers(9);
    let (shelf, digest) = Shelf::of(&layers);
    let server = serving(shelf).await;
    let place = Place::of(&server);
    let (manifest, files) = place.pull(digest).await.unwrap();
    for (file, layer) in files.iter().zip(&layers) {
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut file.as_file(), &mut read).unwrap();
        assert!(std::fs::read(file.path()).unwrap() == *layer && read == *layer);
    }
    assert_eq!((files.len(), OciDigest::of(&manifest.canonical())), (9, digest));
    let seen = server.seen();
    assert_eq!(seen.len(), 11);
    let types = seen[0].header("accept").unwrap();
    for family in ["oci.image.manifest.v1", "oci.image.index.v1", "docker.distribution.manifest.v2"] {
        assert!(types.contains(family), "{types}");
    }
    drop(files);
    assert_eq!(place.left(), [""; 0]);
}

#[tokio::test]
async fn equal_layers_do_not_wait_for_ever() {
    let layer = bytes(1000);
    let (shelf, digest) = Shelf::of(&[layer.clone(), layer.clone()]);
    let server = serving(shelf).await;
    assert_eq!(Place::of(&server).layers(digest).await, [layer.clone(), layer]);
}

#[tokio::test]
async fn two_pulls_of_images_with_the_same_layers_both_get_them() {
    let (one, other) = (bytes(1000), bytes(2000));
    let mut shelf = Shelf::default();
    let first = shelf.image(&[one.clone(), other.clone()], Platform::linux("amd64"));
    let second = shelf.image(&[other.clone(), one.clone()], Platform::linux("amd64"));
    let server = serving(shelf).await;
    let place = Place::of(&server);
    let (first, second) = tokio::join!(place.pull(first), place.pull(second));
    assert_eq!((first.unwrap().1.len(), second.unwrap().1.len()), (2, 2));
}

#[tokio::test]
async fn an_index_leads_to_the_image_for_the_platform() {
    let mut shelf = Shelf::default();
    let [ours, theirs] = [("amd64", 10), ("arm64", 20)].map(|(architecture, size)| {
        let platform = Platform::linux(architecture);
        let digest = shelf.image(&[bytes(size)], platform.clone());
        let bytes = &shelf.0[&format!("/v2/base/manifests/{digest}")];
        Descriptor { platform: Some(platform), ..Descriptor::of(MediaType::Manifest(Family::Oci), bytes) }
    });
    let both = shelf.document(index(vec![theirs.clone(), ours]).canonical());
    let foreign = shelf.document(index(vec![theirs.clone()]).canonical());
    let server = serving(shelf).await;
    let place = Place::of(&server);
    assert_eq!(place.layers(both).await, [bytes(10)]);
    for (digest, kind) in [(foreign, "manifests"), (theirs.digest, "blobs")] {
        let error = place.error(digest).await;
        let RegistryError::Platform { wanted, found, what, .. } = &error else { panic!("{error:?}") };
        assert_eq!((wanted.as_str(), found.as_slice()), ("linux/amd64", ["linux/arm64".to_owned()].as_slice()));
        assert!(what.starts_with(kind), "{error}");
    }
}

#[tokio::test]
async fn indexes_within_indexes_end() {
    let mut shelf = Shelf::default();
    let mut digest = shelf.image(&[bytes(1)], Platform::linux("amd64"));
    let mut digests = Vec::new();
    for _ in 0..4 {
        let bytes = &shelf.0[&format!("/v2/base/manifests/{digest}")];
        let entry = Descriptor {
            platform: Some(Platform::linux("amd64")),
            ..Descriptor::of(MediaType::Index(Family::Oci), bytes)
        };
        digest = shelf.document(index(vec![entry]).canonical());
        digests.push(digest);
    }
    let server = serving(shelf).await;
    let place = Place::of(&server);
    assert_eq!(place.layers(digests[2]).await, [bytes(1)]);
    assert!(matches!(place.error(digests[3]).await, RegistryError::Nested { limit: 3, .. }));
}

#[tokio::test]
async fn a_tag_has_a_digest_and_is_not_pulled() {
    let (mut shelf, digest) = Shelf::of(&layers(1));
    let bytes = shelf.0[&format!("/v2/base/manifests/{digest}")].clone();
    shelf.0.insert("/v2/base/manifests/latest".into(), bytes.clone());
    shelf.0.insert("/v2/base/manifests/12.1".into(), bytes);
    let server = serving(shelf).await;
    let place = Place::of(&server);
    let reference = |text: &str| -> Reference { format!("{}/{text}", place.registry).parse().unwrap() };
    for text in ["base", "base:12.1"] {
        assert_eq!(place.registries.digest_of_tag(&reference(text)).await.unwrap(), digest);
    }
    let unknown = place.registries.digest_of_tag(&reference("base:none")).await.unwrap_err();
    assert!(matches!(unknown, RegistryError::Unknown { .. }), "{unknown:?}");
    let before = server.count();
    let error = place.registries.pull(&reference("base:12.1"), &Platform::linux("amd64")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unpinned { .. }), "{error:?}");
    assert_eq!(server.count(), before);
}

#[tokio::test]
async fn a_tag_that_names_no_image_has_no_digest() {
    let mut shelf = Shelf::default();
    shelf.0.insert("/v2/base/manifests/latest".into(), b"<html>".to_vec());
    let server = serving(shelf).await;
    let place = Place::of(&server);
    let reference: Reference = format!("{}/base", place.registry).parse().unwrap();
    let error = place.registries.digest_of_tag(&reference).await.unwrap_err();
    assert!(matches!(error, RegistryError::Document { .. }), "{error:?}");
}

#[tokio::test]
async fn documents_that_are_too_large_are_not_read() {
    let mut shelf = Shelf::default();
    let large = shelf.document(vec![b' '; 5 << 20]);
    let config = Descriptor { size: 5 << 20, ..Descriptor::of(MediaType::Config(Family::Oci), b"{}") };
    let stated = shelf.manifest(&manifest(config, Vec::new()));
    let server = serving(shelf).await;
    let place = Place::of(&server);
    let error = place.error(large).await;
    assert!(error.to_string().contains("larger than the 4194304 bytes"), "{error}");
    let error = place.error(stated).await;
    assert!(matches!(&error, RegistryError::Document { source: DocumentError::TooLarge { .. }, .. }), "{error:?}");
}

#[tokio::test]
async fn ten_thousand_layers_are_refused() {
    let mut shelf = Shelf::default();
    let config = shelf.blob(MediaType::Config(Family::Oci), b"{}".to_vec());
    let digest = shelf.manifest(&manifest(config, vec![Descriptor::of(LAYER, b"x"); 10_000]));
    let server = serving(shelf).await;
    let error = Place::of(&server).error(digest).await;
    assert!(matches!(&error, RegistryError::Document { source: DocumentError::TooMany { .. }, .. }), "{error:?}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn more_bytes_than_any_image_has_are_refused() {
    let mut shelf = Shelf::default();
    let config = shelf.blob(MediaType::Config(Family::Oci), b"{}".to_vec());
    let layer = Descriptor { size: 40 << 30, ..Descriptor::of(LAYER, b"x") };
    let digest = shelf.manifest(&manifest(config, vec![layer.clone(), layer]));
    let server = serving(shelf).await;
    let error = Place::of(&server).error(digest).await;
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error:?}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn what_is_no_configuration_is_refused() {
    let other = {
        let mut config = ImageConfig::new(Platform::linux("amd64"));
        config.diff_ids = vec![OciDigest::of(b"a"), OciDigest::of(b"b")];
        config.canonical()
    };
    for config in [b"not JSON".to_vec(), b"[]".to_vec(), b"{}".to_vec(), other] {
        let mut shelf = Shelf::default();
        let config = shelf.blob(MediaType::Config(Family::Oci), config);
        let layer = shelf.blob(LAYER, bytes(5));
        let digest = shelf.manifest(&manifest(config, vec![layer]));
        let server = serving(shelf).await;
        let error = Place::of(&server).error(digest).await;
        assert!(matches!(error, RegistryError::Document { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn layers_that_lie_elsewhere_and_older_manifests_are_refused() {
    let mut shelf = Shelf::default();
    let config = shelf.blob(MediaType::Config(Family::Oci), b"{}".to_vec());
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".to_owned();
    let foreign = shelf.manifest(&manifest(config, vec![Descriptor::of(MediaType::from(foreign), b"x")]));
    let old = shelf.document(br#"{"schemaVersion": 1, "fsLayers": []}"#.to_vec());
    let both = shelf.document(br#"{"schemaVersion": 2, "manifests": [], "layers": []}"#.to_vec());
    let server = serving(shelf).await;
    for digest in [foreign, old, both] {
        let error = Place::of(&server).error(digest).await;
        assert!(matches!(error, RegistryError::Document { .. }), "{error:?}");
    }
}
