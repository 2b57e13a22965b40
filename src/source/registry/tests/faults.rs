//! Registries that fail, or give something else than they should.

use super::*;
use crate::source::{FetchMismatch, FetchReason};

#[tokio::test]
async fn what_may_pass_is_asked_for_again() {
    for status in ["429 Too Many Requests", "500 Oops", "503 Busy"] {
        let (shelf, digest) = Shelf::of(&[bytes(1000)]);
        // Each of manifest, configuration and layer is refused twice.
        let server = Server::start(move |count, request| match count % 3 {
            2 => shelf.answer(request),
            _ => Answer::new(status).header("Retry-After", "0"),
        })
        .await;
        assert_eq!(Place::of(&server).layers(digest).await, [bytes(1000)]);
        assert_eq!(server.count(), 9, "{status}");
    }
}

#[tokio::test]
async fn attempts_are_limited() {
    for part in ["/manifests/", "/blobs/"] {
        let (shelf, digest) = Shelf::of(&[bytes(1000)]);
        let server = Server::start(move |_, request| match request.target.contains(part) {
            true => Answer::new("500 Oops"),
            false => shelf.answer(request),
        })
        .await;
        let error = Place::of(&server).error(digest).await;
        assert!(matches!(&error, RegistryError::Failed { reason: FetchReason::Status { .. }, .. }), "{error:?}");
        let asked = server.seen().iter().filter(|request| request.target.contains(part)).count();
        assert_eq!(asked, 3, "{part}");
    }
}

#[tokio::test]
async fn a_registry_that_wants_to_be_left_alone_for_long_is() {
    let server = Server::start(|_, _| Answer::new("429 Too Many Requests").header("Retry-After", "3600")).await;
    let error = Place::of(&server).error(OciDigest::of(b"x")).await;
    assert!(error.to_string().contains("to be asked again in 3600 s"), "{error}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn half_a_layer_is_gone_on_with() {
    let layer = bytes(10_000);
    let (shelf, digest) = Shelf::of(std::slice::from_ref(&layer));
    let server = Server::start(move |count, request| match count {
        2 => shelf.answer(request).cut(6000),
        _ => shelf.answer(request),
    })
    .await;
    assert_eq!(Place::of(&server).layers(digest).await, [layer]);
    assert_eq!(server.seen()[3].first(), Some(6000));
}

#[tokio::test]
async fn half_a_document_is_asked_for_again() {
    let (shelf, digest) = Shelf::of(&[bytes(10)]);
    let server = Server::start(move |count, request| match count {
        0 => shelf.answer(request).cut(20),
        _ => shelf.answer(request),
    })
    .await;
    assert_eq!(Place::of(&server).layers(digest).await, [bytes(10)]);
}

#[tokio::test]
async fn half_a_layer_without_a_length_is_asked_for_again_and_given_up() {
    let layer = bytes(10_000);
    let (shelf, digest) = Shelf::of(std::slice::from_ref(&layer));
    let path = format!("/v2/base/blobs/{}", OciDigest::of(&layer));
    let server = Server::start(move |_, request| match request.target == path {
        true => Answer::file(&layer).length(None).cut(6000),
        false => shelf.answer(request),
    })
    .await;
    let error = Place::of(&server).error(digest).await;
    let RegistryError::Failed { reason: FetchReason::Mismatch(mismatch), .. } = &error else { panic!("{error:?}") };
    assert_eq!(*mismatch, FetchMismatch::Size { expected: 10_000, actual: 6000 });
    assert_eq!(server.count(), 5);
}

#[tokio::test]
async fn other_bytes_than_the_digest_names_are_never_used() {
    let (honest, digest) = Shelf::of(&[bytes(1000)]);
    for path in honest.0.keys() {
        for longer in [false, true] {
            let mut shelf = honest.clone();
            let bytes = shelf.0.get_mut(path).unwrap();
            // Blanks change no meaning.
            if longer {
                bytes.push(b' ')
            } else {
                *bytes.last_mut().unwrap() ^= 1
            }
            let server = serving(shelf).await;
            let error = Place::of(&server).error(digest).await;
            let RegistryError::Failed { reason, .. } = &error else { panic!("{path}: {error:?}") };
            assert!(matches!(reason, FetchReason::Mismatch(_) | FetchReason::TooLarge { .. }), "{path}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_size_that_is_stated_falsely_is_an_error() {
    for (size, part) in [(999, "blobs"), (1001, "blobs")] {
        let mut shelf = Shelf::default();
        let mut config = ImageConfig::new(Platform::linux("amd64"));
        config.diff_ids = vec![OciDigest::of(&bytes(1000))];
        let config = shelf.blob(MediaType::Config(Family::Oci), config.canonical());
        let layer = Descriptor { size, ..shelf.blob(LAYER, bytes(1000)) };
        let digest = shelf.manifest(&manifest(config, vec![layer]));
        let server = serving(shelf).await;
        let error = Place::of(&server).error(digest).await;
        assert!(matches!(&error, RegistryError::Failed { address, .. } if address.contains(part)), "{error:?}");
    }
}

#[tokio::test]
async fn what_a_registry_does_not_know_is_named() {
    let (shelf, digest) = Shelf::of(&[bytes(1000)]);
    for path in shelf.0.keys() {
        let mut shelf = shelf.clone();
        shelf.0.remove(path);
        let server = serving(shelf).await;
        let error = Place::of(&server).error(digest).await;
        let RegistryError::Unknown { what, .. } = &error else { panic!("{error:?}") };
        assert_eq!(format!("/v2/{what}"), *path);
    }
}

#[tokio::test]
async fn an_endless_document_is_given_up() {
    let server = Server::start(|_, _| Answer::new("200 OK").endless()).await;
    let error = Place::of(&server).error(OciDigest::of(b"x")).await;
    assert!(matches!(&error, RegistryError::Failed { reason: FetchReason::TooLarge { .. }, .. }), "{error:?}");
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let server = Server::start(|_, request| Answer::redirect(&request.target)).await;
    let error = Place::of(&server).error(OciDigest::of(b"x")).await;
    assert!(error.to_string().contains("more than 10 redirects"), "{error}");
}
