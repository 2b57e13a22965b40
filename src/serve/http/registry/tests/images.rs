//! Pulls of images.

use super::*;

#[tokio::test]
async fn an_image_is_pulled_by_digest_and_by_tag() {
    let served = Served::start(false).await;
    let image = image(&served, "web").await;
    let digest = oci(&image.facts.manifest);
    let key = format!("key-{}", image.key.digest().hash());
    for reference in [digest.as_str(), "latest", &key] {
        let answer = served.get(&format!("web/manifests/{reference}"), &[]).await;
        assert_eq!((answer.status, answer.header(CONTENT_TYPE)), (200, OCI), "{reference}");
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert_eq!(OciDigest::of(&answer.body).to_string(), digest);
        let manifest = Manifest::parse(&answer.body).expect("a manifest");
        let config = served.get(&format!("web/blobs/{}", manifest.config.digest), &[]).await;
        assert_eq!(OciDigest::of(&config.body), manifest.config.digest);
        for (layer, archive) in manifest.layers.iter().zip(&image.archives) {
            let answer = served.get(&format!("web/blobs/{}", layer.digest), &[]).await;
            assert_eq!((answer.status, answer.whole, &answer.body[..]), (200, true, &archive[..]));
            assert_eq!(answer.header("content-length"), archive.len().to_string());
            let head = served.request("HEAD", &format!("other/name/blobs/{}", layer.digest), &[], "").await;
            assert_eq!((head.status, head.header("content-length")), (200, answer.header("content-length")));
        }
    }
    // A tag that names a key is known wherever it is asked for.
    assert_eq!(served.get(&format!("other/manifests/{key}"), &[]).await.status, 200);
}

#[tokio::test]
async fn any_part_of_a_layer_is_sent() {
    let served = Served::start(false).await;
    let image = image(&served, "web").await;
    let (path, archive) = (format!("web/blobs/{}", oci(&image.facts.layers[1])), &image.archives[1]);
    let size = archive.len();
    for (range, start, end) in [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=1000000-1999999".to_owned(), 1_000_000, 2_000_000),
        (format!("bytes={}-", size - 1), size - 1, size),
        ("bytes=-700".to_owned(), size - 700, size),
    ] {
        let answer = served.get(&path, &[(RANGE.as_str(), &range)]).await;
        assert_eq!((answer.status, answer.whole, &answer.body[..]), (206, true, &archive[start..end]), "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {start}-{}/{size}", end - 1));
    }
    assert_eq!(served.get(&path, &[("range", &format!("bytes={size}-"))]).await.status, 416);
    let tag = served.get(&path, &[("range", "bytes=0-0")]).await.header("etag").to_owned();
    assert_eq!(served.get(&path, &[("if-none-match", &tag)]).await.status, 304);
}

#[tokio::test]
async fn who_takes_nothing_but_dockers_form_gets_that_and_may_ask_for_it_again() {
    let served = Served::start(false).await;
    let image = image(&served, "web").await;
    let answer = served.get("web/manifests/latest", &[(ACCEPT.as_str(), DOCKER)]).await;
    assert_eq!((answer.status, answer.header(CONTENT_TYPE)), (200, DOCKER));
    let manifest = Manifest::parse(&answer.body).expect("a manifest");
    assert_eq!(manifest.family, Family::Docker);
    assert_eq!(manifest.layers[0].digest.to_string(), oci(&image.facts.layers[0]));
    let digest = OciDigest::of(&answer.body).to_string();
    assert_ne!(digest, oci(&image.facts.manifest));
    for accepted in [OCI, DOCKER] {
        let again = served.get(&format!("web/manifests/{digest}"), &[("accept", accepted)]).await;
        assert_eq!((again.status, again.body), (200, answer.body.clone()));
    }
    assert_eq!(
        served.resolver.known_images().images_of_manifest(&digest.parse().expect("one")).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn layers_are_compressed_for_who_asks_so() {
    let served = Served::start(false).await;
    let image = image(&served, "web").await;
    for (suffix, kind) in [("gzip", LayerCompression::Gzip), ("zstd", LayerCompression::Zstd)] {
        let answer = served.get(&format!("web/manifests/latest-{suffix}"), &[]).await;
        assert_eq!(answer.status, 200);
        let manifest = Manifest::parse(&answer.body).expect("a manifest");
        for (layer, archive) in manifest.layers.iter().zip(&image.archives) {
            assert_eq!(layer.media_type, MediaType::Layer(Family::Oci, kind));
            let blob = served.get(&format!("web/blobs/{}", layer.digest), &[]).await;
            assert_eq!((blob.status, blob.whole, blob.body.len() as u64), (200, true, layer.size));
            assert_eq!(OciDigest::of(&blob.body), layer.digest);
            let mut plain = Vec::new();
            match kind {
                LayerCompression::Gzip => flate2::read::GzDecoder::new(&blob.body[..]).read_to_end(&mut plain),
                _ => zstd::stream::read::Decoder::new(&blob.body[..]).expect("zstd").read_to_end(&mut plain),
            }
            .expect("it can be decompressed");
            assert_eq!(plain, *archive);
        }
        let digest = OciDigest::of(&answer.body);
        assert_eq!(served.get(&format!("web/manifests/{digest}"), &[]).await.body, answer.body);
    }
}

#[tokio::test]
async fn a_compressed_layer_is_kept_and_made_anew_when_that_is_gone() {
    let served = Served::start(false).await;
    image(&served, "web").await;
    let manifest = served.get("web/manifests/latest-gzip", &[]).await;
    let manifest = Manifest::parse(&manifest.body).expect("a manifest");
    let layer = format!("web/blobs/{}", manifest.layers[1].digest);
    let sent = served.get(&layer, &[]).await.body;
    let kept = DigestFunction::Blake3.digest(&sent);
    let store: &dyn BlobStore = &served.store;
    assert_eq!(store.find_missing(&[kept]).await.expect("told"), []);
    served.store.remove(&kept).expect("it can be");
    let anew = served.get(&layer, &[]).await;
    assert!(anew.whole && anew.body == sent);
}

#[tokio::test]
async fn an_image_that_lost_a_blob_is_not_built_again_for_a_reader() {
    let mut served = Served::start(false).await;
    let image = image(&served, "web").await;
    served.rights = Rights { role: Role::Reader, checkpoints: false };
    served.store.remove(&image.large).expect("it can be");
    let answer = served.get("web/manifests/latest", &[]).await;
    let (code, message) = answer.error();
    assert_eq!((answer.status, code.as_str()), (403, "DENIED"), "{message}");
    assert!(message.contains("it takes the role `builder` to have it built"), "{message}");
    let store: &dyn BlobStore = &served.store;
    store.put(DigestFunction::Blake3, large().into()).await.expect("stored");
    assert_eq!(served.get("web/manifests/latest", &[]).await.status, 200, "with the blob it is whole again");
}

#[tokio::test]
async fn an_image_that_lost_a_blob_and_cannot_be_built_again_is_not_found_and_the_reason_is_told() {
    let served = Served::start(false).await;
    let image = image(&served, "web").await;
    served.store.remove(&image.large).expect("it can be");
    let layer = format!("web/blobs/{}", oci(&image.facts.layers[1]));
    for (path, code) in [("web/manifests/latest", "MANIFEST_UNKNOWN"), (&layer, "BLOB_UNKNOWN")] {
        let answer = served.get(path, &[]).await;
        assert_eq!((answer.status, answer.error().0.as_str()), (404, code));
        let message = answer.error().1;
        assert!(message.contains("cannot be built again: source trees are not known here: `1111"), "{message}");
    }
    // With the blob it is whole again.
    let store: &dyn BlobStore = &served.store;
    store.put(DigestFunction::Blake3, large().into()).await.expect("stored");
    assert!(served.get(&layer, &[]).await.whole);
    // It was found whole a moment ago: the files of a layer are looked for all the same before it is sent.
    served.store.remove(&image.large).expect("it can be");
    assert_eq!(served.get(&layer, &[]).await.status, 404);
    store.put(DigestFunction::Blake3, large().into()).await.expect("stored");
    // So it is with a directory of the image.
    let manifest = OciDigest::from_digest(&image.facts.manifest).expect("SHA-256");
    let root = served.resolver.known_images().images(&manifest).await.expect("told").remove(0).root;
    assert_eq!(served.get("web/manifests/latest", &[]).await.status, 200);
    served.store.remove(&root).expect("it can be");
    assert_eq!(served.get("web/manifests/latest", &[]).await.status, 404);
}

#[tokio::test]
async fn a_body_is_broken_off_when_a_blob_is_lost_meanwhile_and_the_image_is_checked_anew() {
    let served = Served::start(false).await;
    let image = image(&served, "web").await;
    let layer = format!("web/blobs/{}", oci(&image.facts.layers[1]));
    for round in ["verified", "sent once more"] {
        let request = axum::http::Request::builder().uri(format!("/v2/{layer}")).body(Body::empty()).expect("one");
        let response = served.router.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), 200);
        served.store.remove(&image.large).expect("it can be");
        let sent: Vec<_> = response.into_body().into_data_stream().collect().await;
        assert!(sent.last().expect("something").is_err(), "{round}");
        assert_eq!(served.get("web/manifests/latest", &[]).await.status, 404);
        (&served.store as &dyn BlobStore).put(DigestFunction::Blake3, large().into()).await.expect("stored");
        assert!(served.get(&layer, &[]).await.whole);
    }
}

#[tokio::test]
async fn a_body_is_broken_off_when_a_layer_does_not_come_out_as_promised() {
    let served = Served::start(false).await;
    let image = image(&served, "web").await;
    // The tree of another image stands under the digests of this one.
    let known = served.resolver.known_images();
    let other = OciDigest::of(b"other");
    let mut facts = image.facts.clone();
    facts.layers[0] = other.with_size(image.facts.layers[0].size());
    let recorded = known.images(&OciDigest::from_digest(&image.facts.manifest).unwrap()).await.unwrap().remove(0);
    let descriptor = crate::spec::Descriptor {
        version: DESCRIPTOR_VERSION,
        kind: KindName::Image,
        root: recorded.root,
        tree: recorded.tree,
        provides: Provides::default(),
        nix: None,
        image: Some(facts),
        checkpoint: None,
        provenance: Provenance { builder: "test".into(), actions: Vec::new(), built_at: 0, duration_ms: 0 },
    };
    let parts = parts("false");
    known.note(&parts.key(), &parts, &BTreeMap::new(), &descriptor).await.expect("written");
    let answer = served.get(&format!("web/blobs/{other}"), &[]).await;
    assert!(!answer.whole && answer.body.len() < image.archives[0].len(), "{}", answer.status);
}
