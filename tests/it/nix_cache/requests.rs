//! Requests as any client may send them.

use envserve::proto::reapi::GetCapabilitiesRequest;
use envserve::proto::reapi::capabilities_client::CapabilitiesClient;
use envserve::proto::v1::environments_client::EnvironmentsClient;
use tonic::Code;

use super::*;

#[test]
fn the_cache_says_what_it_is() {
    let cache = Cache::new(&[]);
    for at in ["nix-cache-info", "zstd/nix-cache-info"] {
        let answer = cache.get(at);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n")
        );
    }
    let hash = "0".repeat(32);
    for nothing in [
        "",
        "x",
        "x.narinfo",
        &format!("{hash}.narinfo"),
        &format!("{hash}.ls"),
        &format!("nar/{hash}-{}.nar", "0".repeat(52)),
        "nar/x.nar",
        "log/x.drv",
        "../nix/nix-cache-info",
        "%00",
    ] {
        for method in ["GET", "HEAD"] {
            assert_eq!(cache.request(method, nothing, &[], b"").status, 404, "{method} {nothing}");
        }
    }
    assert_eq!(request(&cache.daemon.address, "GET", "/", &[], b"").status, 404);
    let answer = cache.request("DELETE", "nix-cache-info", &[], b"");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, PUT")));
}

#[test]
fn an_archive_is_sent_whole_in_part_or_not_at_all() {
    let cache = Cache::new(&["--nix-upload"]);
    let (files, object) = Files::new(&Nix::old(&cache.world, "maker"));
    files.upload(&cache, &object);
    let expected = files.nar(&files.narinfo(&object));
    let size = expected.len();
    let narinfo = cache.get(&narinfo_name(&object));
    assert_eq!(narinfo.header("content-type"), Some("text/x-nix-narinfo"));
    let narinfo = narinfo.text();
    for name in ["StorePath", "NarHash", "NarSize", "References", "FileHash"] {
        assert_eq!(field(&narinfo, name), field(&files.narinfo(&object), name));
    }
    let url = field(&narinfo, "URL");
    let whole = cache.get(&url);
    assert_eq!((whole.status, whole.body), (200, expected.clone()));
    let head = cache.request("HEAD", &url, &[], b"");
    let length = size.to_string();
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some(length.as_str()), 0));
    let tag = head.header("etag").expect("given").to_owned();
    assert_eq!(cache.request("GET", &url, &[("If-None-Match", &tag)], b"").status, 304);

    let part =
        |range: &str, condition: &str| cache.request("GET", &url, &[("Range", range), ("If-Range", condition)], b"");
    for (range, start, end) in
        [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=20-", 20, size), ("bytes=-7", size - 7, size)]
    {
        let answer = part(range, &tag);
        assert_eq!((answer.status, &answer.body[..]), (206, &expected[start..end]), "{range}");
        assert_eq!(answer.header("content-range"), Some(format!("bytes {start}-{}/{size}", end - 1).as_str()));
    }
    let beyond = part(&format!("bytes={size}-"), &tag);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(format!("bytes */{size}").as_str())));
    for answer in [part("bytes=1-2,4-5", &tag), part("bytes=0-0", "\"other\"")] {
        assert_eq!((answer.status, answer.body), (200, expected.clone()));
    }

    let compressed = cache.get(&format!("zstd/{}", narinfo_name(&object))).text();
    assert_eq!((field(&compressed, "Compression"), compressed.contains("FileSize")), ("zstd".into(), false));
    let answer = cache.get(&format!("zstd/{}", field(&compressed, "URL")));
    assert!(answer.whole);
    assert_eq!(zstd::decode_all(&answer.body[..]).expect("zstd"), expected);
    // The name says both whose archive it is, and which.
    let (hash_part, nar_hash) = url.trim_start_matches("nar/").split_once('-').expect("both");
    for other in [format!("nar/{}-{nar_hash}", "0".repeat(32)), format!("nar/{hash_part}-{}.nar", "0".repeat(52))] {
        assert_eq!(cache.get(&other).status, 404, "{other}");
    }
}

#[tokio::test]
async fn grpc_is_spoken_on_the_same_port_as_before() {
    let cache = Cache::new(&[]);
    let address = format!("http://{}", cache.daemon.address);
    let mut client = CapabilitiesClient::connect(address.clone()).await.expect("up");
    client.get_capabilities(GetCapabilitiesRequest::default()).await.expect("answered");
    // A service that there is not.
    let mut other =
        tonic::client::Grpc::new(tonic::transport::Channel::from_shared(address).expect("an address").connect_lazy());
    other.ready().await.expect("up");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path = "/no.such.Service/Method".parse().expect("a path");
    let status = other.unary(tonic::Request::new(()), path, codec).await.expect_err("no service");
    assert_eq!(status.code(), Code::Unimplemented);
    drop(EnvironmentsClient::new(cache.daemon.link().channel()));
}
