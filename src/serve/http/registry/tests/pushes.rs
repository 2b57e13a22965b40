//! Pushes.

use super::*;

/// Returns the path of a location that was answered.
fn below(location: &str) -> String {
    location.strip_prefix("/v2/").expect("of the registry").to_owned()
}

async fn begin(served: &Served) -> String {
    let answer = served.request("POST", "up/blobs/uploads/", &[], "").await;
    assert_eq!((answer.status, answer.header(RANGE)), (202, "0-0"));
    below(answer.header(LOCATION))
}

/// Pushes a blob in one piece.
async fn push(served: &Served, bytes: &'static [u8]) -> OciDigest {
    let digest = OciDigest::of(bytes);
    let at = begin(served).await;
    let answer = served.request("PUT", &format!("{at}?digest=sha256%3A{}", digest.hash()), &[], bytes).await;
    assert_eq!((answer.status, answer.header("docker-content-digest")), (201, digest.to_string().as_str()));
    assert_eq!(answer.header(LOCATION), format!("/v2/up/blobs/{digest}"));
    digest
}

fn manifest(config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    let kind = MediaType::Layer(Family::Oci, LayerCompression::Gzip);
    Manifest {
        family: Family::Oci,
        config: Descriptor::of(MediaType::Config(Family::Oci), config),
        layers: layers.iter().map(|layer| Descriptor::of(kind.clone(), layer)).collect(),
        annotations: Annotations::new(),
    }
    .canonical()
}

#[tokio::test]
async fn nothing_is_pushed_unless_the_operator_allows_it() {
    let served = Served::start(false).await;
    let digest = OciDigest::of(b"x");
    for (method, path) in [
        ("POST", "up/blobs/uploads/".to_owned()),
        ("POST", format!("up/blobs/uploads/?digest={digest}")),
        ("PATCH", "up/blobs/uploads/1".into()),
        ("PUT", "up/manifests/latest".into()),
    ] {
        let answer = served.request(method, &path, &[], "x").await;
        assert_eq!((answer.status, answer.error().0.as_str()), (403, "DENIED"), "{method} {path}");
        assert!(answer.error().1.contains("--registry-push"));
    }
}

#[tokio::test]
async fn what_was_pushed_is_pulled_as_it_was() {
    let served = Served::start(true).await;
    for bytes in [&b"config"[..], b"layer", b""] {
        let digest = push(&served, bytes).await;
        let answer = served.get(&format!("elsewhere/blobs/{digest}"), &[]).await;
        assert_eq!((answer.status, &answer.body[..]), (200, bytes));
    }
    let document = manifest(b"config", &[b"layer", b""]);
    let digest = OciDigest::of(&document);
    let answer = served.request("PUT", "up/manifests/v1", &[("content-type", OCI)], document.clone()).await;
    assert_eq!((answer.status, answer.header("docker-content-digest")), (201, digest.to_string().as_str()));
    assert_eq!(answer.header(LOCATION), format!("/v2/up/manifests/{digest}"));
    for reference in ["v1".to_owned(), digest.to_string()] {
        let answer = served.get(&format!("up/manifests/{reference}"), &[("accept", DOCKER)]).await;
        assert_eq!((answer.status, answer.header(CONTENT_TYPE), &answer.body[..]), (200, OCI, &document[..]));
    }
    assert_eq!(served.get("up/manifests/v1-gzip", &[]).await.status, 404);
    let tags: Value = serde_json::from_slice(&served.get("up/tags/list", &[]).await.body).expect("JSON");
    assert_eq!(tags, json!({"name": "up", "tags": ["v1"]}));
    // By digest alone no tag is made.
    assert_eq!(served.request("PUT", &format!("b/manifests/{digest}"), &[], document).await.status, 201);
    assert_eq!(served.get("b/tags/list", &[]).await.status, 404);
}

#[tokio::test]
async fn a_large_blob_is_pulled_whole_and_in_part() {
    let served = Served::start(true).await;
    let bytes: &'static [u8] = large().leak();
    let path = format!("up/blobs/{}", push(&served, bytes).await);
    let answer = served.get(&path, &[]).await;
    assert!(answer.whole && answer.body == bytes);
    let answer = served.get(&path, &[("range", "bytes=2000000-2700000")]).await;
    assert_eq!((answer.status, &answer.body[..]), (206, &bytes[2_000_000..=2_700_000]));
}

#[tokio::test]
async fn a_blob_comes_in_chunks_each_where_the_last_one_ended() {
    let served = Served::start(true).await;
    let at = begin(&served).await;
    let patch = async |range: &str, body: &'static str| {
        served
            .request("PATCH", &at, &[("content-range", range), ("content-length", &body.len().to_string())], body)
            .await
    };
    let answer = patch("0-3", "0123").await;
    assert_eq!((answer.status, answer.header(RANGE), below(answer.header(LOCATION))), (202, "0-3", at.clone()));
    for range in ["0-3", "5-8", "2-5"] {
        let answer = patch(range, "4567").await;
        assert_eq!((answer.status, answer.header(RANGE)), (416, "0-3"), "{range}");
    }
    for range in ["4-5", "x", "4--1"] {
        assert_eq!(patch(range, "4567").await.status, 400, "{range}");
    }
    assert_eq!(patch("4-7", "4567").await.status, 202);
    let answer = served.get(&at, &[]).await;
    assert_eq!((answer.status, answer.header(RANGE)), (204, "0-7"));
    let digest = OciDigest::of(b"0123456789");
    assert_eq!(served.request("PUT", &at, &[], "89").await.error().0, "DIGEST_INVALID");
    let answer = served.request("PUT", &format!("{at}?digest={digest}"), &[], "89").await;
    assert_eq!(answer.status, 201);
    assert_eq!(&served.get(&format!("up/blobs/{digest}"), &[]).await.body[..], b"0123456789");
    let answer = served.get(&at, &[]).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
}

#[tokio::test]
async fn an_upload_can_be_given_up_and_belongs_to_its_repository() {
    let served = Served::start(true).await;
    let at = begin(&served).await;
    assert_eq!(served.request("PATCH", &at.replacen("up/", "other/", 1), &[], "x").await.status, 404);
    assert_eq!(served.request("DELETE", &at, &[], "").await.status, 204);
    assert_eq!(served.request("PATCH", &at, &[], "x").await.status, 404);
    assert_eq!(served.request("HEAD", &at, &[], "").await.status, 405);
}

#[tokio::test]
async fn a_blob_that_is_not_what_it_is_said_to_be_is_refused() {
    let served = Served::start(true).await;
    let digest = OciDigest::of(b"x");
    let one_piece = format!("up/blobs/uploads/?digest={digest}");
    let answer = served.request("POST", &one_piece, &[], "y").await;
    assert_eq!((answer.status, answer.error().0.as_str()), (400, "DIGEST_INVALID"));
    assert_eq!(served.get(&format!("up/blobs/{digest}"), &[]).await.status, 404);
    for wrong in ["sha512:00", "sha256:xyz", ""] {
        let answer = served.request("POST", &format!("up/blobs/uploads/?digest={wrong}"), &[], "y").await;
        assert_eq!((answer.status, answer.error().0.as_str()), (400, "DIGEST_INVALID"), "{wrong}");
    }
    assert_eq!(served.request("POST", &one_piece, &[], "x").await.status, 201);
    assert_eq!(served.get(&format!("up/blobs/{digest}"), &[]).await.status, 200);
}

#[tokio::test]
async fn a_blob_that_is_here_is_mounted() {
    let served = Served::start(true).await;
    let image = image(&served, "web").await;
    let layer = oci(&image.facts.layers[1]);
    let mount = format!("up/blobs/uploads/?mount={layer}&from=web");
    let answer = served.request("POST", &mount, &[], "").await;
    assert_eq!((answer.status, answer.header(LOCATION)), (201, format!("/v2/up/blobs/{layer}").as_str()));
    let unknown = format!("up/blobs/uploads/?mount={}&from=web", OciDigest::of(b"x"));
    assert_eq!(served.request("POST", &unknown, &[], "").await.status, 202);
}

#[tokio::test]
async fn a_manifest_may_name_what_is_here_and_nothing_else() {
    let served = Served::start(true).await;
    let image = image(&served, "web").await;
    let answer = served.get("web/manifests/latest", &[]).await;
    // The same image, pushed under another name: nothing of it has to be sent.
    let pushed = served.request("PUT", "up/manifests/v1", &[("content-type", OCI)], answer.body.clone()).await;
    assert_eq!(pushed.status, 201);
    assert_eq!(served.get("up/manifests/v1", &[]).await.header("docker-content-digest"), oci(&image.facts.manifest));
    assert_eq!(served.get("up/manifests/v1-gzip", &[]).await.status, 200);
    let wrong_size = String::from_utf8(answer.body.to_vec()).expect("JSON");
    let size = format!("\"size\":{}", image.facts.layers[1].size());
    assert!(wrong_size.contains(&size));
    for (document, code) in [
        (manifest(b"unknown", &[]), "MANIFEST_BLOB_UNKNOWN"),
        (wrong_size.replace(&size, "\"size\":7").into_bytes(), "MANIFEST_BLOB_UNKNOWN"),
        (b"{}".to_vec(), "MANIFEST_INVALID"),
        (b"no JSON".to_vec(), "MANIFEST_INVALID"),
        (vec![b' '; (4 << 20) + 1], "SIZE_INVALID"),
    ] {
        let answer = served.request("PUT", "up/manifests/v2", &[("content-type", OCI)], document).await;
        assert!((400..500).contains(&answer.status));
        assert_eq!(answer.error().0, code);
    }
    assert_eq!(served.get("up/manifests/v2", &[]).await.status, 404);
    let other = OciDigest::of(b"x");
    let answer_to = async |path: String, kind: &str| {
        let answer = served.request("PUT", &path, &[("content-type", kind)], answer.body.clone()).await;
        (answer.status, answer.error().0)
    };
    assert_eq!(answer_to(format!("up/manifests/{other}"), OCI).await, (400, "DIGEST_INVALID".into()));
    assert_eq!(answer_to("up/manifests/v2".into(), DOCKER).await, (400, "MANIFEST_INVALID".into()));
    assert_eq!(answer_to("up/manifests/v2".into(), "text/html").await, (400, "MANIFEST_INVALID".into()));
    assert_eq!(answer_to("up/manifests/key-1".into(), OCI).await, (403, "DENIED".into()));
}

#[tokio::test]
async fn what_was_pushed_and_evicted_has_to_be_pushed_again() {
    let served = Served::start(true).await;
    let digest = push(&served, b"layer").await;
    served.store.remove(&DigestFunction::Blake3.digest(b"layer")).expect("it can be");
    let answer = served.get(&format!("up/blobs/{digest}"), &[]).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (404, "BLOB_UNKNOWN"));
    assert!(answer.error().1.contains("push it again"));
    push(&served, b"layer").await;
    assert_eq!(served.get(&format!("up/blobs/{digest}"), &[]).await.status, 200);
}
