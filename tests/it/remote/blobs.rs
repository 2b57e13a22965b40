//! The library's view of each endpoint: every blob that is put comes back, and one that is lost is absent.

use bytes::Bytes;
use envserve::digest::DigestFunction;
use envserve::store::{BlobStore, Capabilities, RemoteBlobStore};

use crate::support::{Endpoint, Kind};

#[tokio::main]
async fn blobs(endpoint: &mut Endpoint) {
    let found = Capabilities::ask(&endpoint.link(), "").await.expect("it says what it can");
    assert!(found.execution && found.functions.contains(&DigestFunction::Sha256), "{found:?}");
    for function in found.functions {
        let store = RemoteBlobStore::new(endpoint.link(), String::new(), function).with_batch_bytes(found.batch_bytes);
        let mut random = fastrand::Rng::with_seed(7);
        let blobs: Vec<_> = [0, 1, 20_000, 100_000, 1 << 20, 5 << 20]
            .into_iter()
            .map(|size| {
                let mut bytes = vec![0; size];
                random.fill(&mut bytes);
                (function.digest(&bytes), Bytes::from(bytes))
            })
            .collect();
        let digests: Vec<_> = blobs.iter().map(|(digest, _)| *digest).collect();
        store.put_batch(blobs.clone()).await.expect("stored");
        assert_eq!(store.find_missing(&digests).await.expect("an answer"), []);
        endpoint.kill();
        endpoint.start_again();
        let read = store.get_batch(&digests).await.expect("an answer");
        assert_eq!(read, blobs.iter().cloned().collect());
        for (digest, bytes) in &blobs[2..] {
            endpoint.lose(bytes);
            assert_eq!(store.find_missing(&digests[1..]).await.expect("an answer"), [*digest], "{:?}", endpoint.kind);
            assert_eq!(store.get(digest).await.expect("an answer"), None);
            store.put_batch(vec![(*digest, bytes.clone())]).await.expect("stored");
        }
    }
}

#[test]
fn buildgrid_keeps_blobs() {
    Endpoint::with(Kind::BuildGrid, blobs);
}

#[test]
fn just_keeps_blobs() {
    Endpoint::with(Kind::Just, blobs);
}

#[test]
fn casd_keeps_blobs() {
    Endpoint::with(Kind::Casd, blobs);
}

#[test]
fn our_own_endpoint_keeps_blobs() {
    Endpoint::with(Kind::Own, blobs);
}
