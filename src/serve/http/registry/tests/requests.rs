//! Requests as any client may send them.

use super::*;

#[tokio::test]
async fn the_registry_says_that_it_is_one() {
    let served = Served::start(false).await;
    for path in ["/v2", "/v2/"] {
        let answer = served.send(axum::http::Request::builder().uri(path), "").await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    }
}

#[tokio::test]
async fn blobs_of_the_cas_that_are_of_no_image_are_not_served() {
    let served = Served::start(false).await;
    let store: &dyn BlobStore = &served.store;
    for function in DigestFunction::ALL {
        store.put(function, Bytes::from_static(b"secret")).await.expect("stored");
    }
    let image = image(&served, "web").await;
    // Not even those of which an image is made.
    let large = OciDigest::of(&large());
    store.put(DigestFunction::Sha256, self::large().into()).await.expect("stored");
    for digest in [OciDigest::of(b"secret"), large] {
        let answer = served.get(&format!("web/blobs/{digest}"), &[]).await;
        assert_eq!((answer.status, answer.error().0.as_str()), (404, "BLOB_UNKNOWN"));
    }
    // Nor is a layer a manifest.
    let answer = served.get(&format!("web/manifests/{}", oci(&image.facts.layers[0])), &[]).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (404, "MANIFEST_UNKNOWN"));
}

#[tokio::test]
async fn tags_are_listed_page_by_page() {
    let served = Served::start(false).await;
    let one = image(&served, "web").await;
    let key = format!("key-{}", one.key.digest().hash());
    let tags = |answer: &Answer| serde_json::from_slice::<Value>(&answer.body).expect("JSON")["tags"].clone();
    let answer = served.get("web/tags/list", &[]).await;
    assert_eq!((answer.status, tags(&answer), answer.header("link")), (200, json!([key, "latest"]), ""));
    let answer = served.get("web/tags/list?n=1", &[]).await;
    let link = format!("</v2/web/tags/list?n=1&last={key}>; rel=\"next\"");
    assert_eq!((tags(&answer), answer.header("link")), (json!([key]), link.as_str()));
    let answer = served.get(&format!("web/tags/list?n=1&last={key}"), &[]).await;
    assert_eq!((tags(&answer), answer.header("link")), (json!(["latest"]), ""));
    assert_eq!(tags(&served.get("web/tags/list?last=zzz", &[]).await), json!([]));
    let answer = served.get("other/tags/list", &[]).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn an_unknown_tag_says_how_it_becomes_known() {
    let served = Served::start(false).await;
    for tag in ["latest".to_owned(), format!("key-{}", "0".repeat(64)), "latest-gzip".to_owned()] {
        let answer = served.get(&format!("web/manifests/{tag}"), &[]).await;
        let (code, message) = answer.error();
        assert_eq!((answer.status, code.as_str()), (404, "MANIFEST_UNKNOWN"));
        assert!(message.contains(&tag) && message.contains("envserve fetch --absent"), "{message}");
    }
}

#[tokio::test]
async fn hostile_requests_are_refused_in_the_words_of_the_protocol() {
    let served = Served::start(true).await;
    let image = image(&served, "web").await;
    let digest = oci(&image.facts.layers[0]);
    let long = "a/".repeat(5000);
    let paths = [
        format!("{long}manifests/latest"),
        "../../etc/passwd".into(),
        "web/../web/manifests/latest".into(),
        "web%2f..%2fx/manifests/latest".into(),
        "web/manifests/%00".into(),
        format!("web/manifests/{}", "t".repeat(200)),
        "web/manifests/sha256:../../x".into(),
        format!("web/blobs/{}", digest.to_uppercase()),
        format!("web/blobs/sha512:{}", "0".repeat(128)),
        "web/blobs/uploads/not-one".into(),
        "web/tags/list?n=-1".into(),
        "web/tags/list?n=99999999999999999999999".into(),
        "_catalog".into(),
        "/".into(),
        "//".into(),
    ];
    for path in &paths {
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "STRANGE"] {
            let answer = served.request(method, path, &[], "body").await;
            assert!((400..500).contains(&answer.status), "{method} {path}: {}", answer.status);
            answer.error();
        }
    }
    let path = format!("web/blobs/{digest}");
    for range in ["bytes=-1-5", "bytes=5-1", "bytes=a-b", "bytes=0-0,2-3", "bytes=", "\u{7f}"] {
        let answer = served.get(&path, &[("range", range.trim_end_matches('\u{7f}'))]).await;
        assert_eq!((answer.status, answer.whole), (200, true), "{range}");
    }
    for method in ["PUT", "DELETE", "POST"] {
        let answer = served.request(method, &path, &[], "").await;
        assert_eq!((answer.status, answer.error().0.as_str()), (405, "UNSUPPORTED"));
        assert_eq!(answer.header("allow"), "GET, HEAD");
    }
}
