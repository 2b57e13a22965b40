//! Batches: compressed blobs, and blobs that are wrong among others that are right.

use tonic::Code;

use super::blobs::{blob, read, update};
use super::{Served, lied, random, refused};
use crate::digest::Digest;
use crate::execute::fixture::FUNCTION;
use crate::proto::reapi;
use crate::proto::reapi::batch_update_blobs_request::Request;
use crate::store::BlobStore;

const ZSTD: i32 = reapi::compressor::Value::Zstd as i32;

fn compressed(digest: Digest, data: &[u8]) -> Request {
    Request { compressor: ZSTD, ..blob(Some(digest), &zstd::encode_all(data, 1).unwrap()) }
}

async fn codes(served: &Served, requests: Vec<Request>) -> Vec<i32> {
    let answer = served.cas().batch_update_blobs(update(requests)).await.unwrap().into_inner();
    answer.responses.into_iter().map(|response| response.status.unwrap().code).collect()
}

#[tokio::test]
async fn blobs_of_a_batch_are_compressed_where_asked_and_where_it_pays() {
    let served = Served::start();
    let blobs = [vec![0; 100_000], random(1000).to_vec(), b"short".to_vec()];
    let digests: Vec<Digest> = blobs.iter().map(|bytes| FUNCTION.digest(bytes)).collect();
    let requests = blobs.iter().zip(&digests).map(|(bytes, digest)| compressed(*digest, bytes)).collect();
    assert_eq!(codes(&served, requests).await, [0, 0, 0]);
    let mut asked = read(&digests);
    for (acceptable, expected) in [(vec![ZSTD, 77], [ZSTD, 0, 0]), (vec![0, 3], [0, 0, 0]), (Vec::new(), [0, 0, 0])] {
        asked.acceptable_compressors = acceptable;
        let answer = served.cas().batch_read_blobs(asked.clone()).await.unwrap().into_inner();
        for ((response, bytes), compressor) in answer.responses.iter().zip(&blobs).zip(expected) {
            assert_eq!(response.compressor, compressor);
            let data = match compressor {
                ZSTD => zstd::decode_all(&*response.data).unwrap(),
                _ => response.data.clone(),
            };
            assert!(data == *bytes);
        }
    }
}

#[tokio::test]
async fn a_bad_blob_does_not_fail_its_neighbours() {
    let served = Served::start();
    let (good, other) = (FUNCTION.digest(b"good"), FUNCTION.digest(b"other"));
    let bomb = vec![0; 3 << 20];
    let requests = vec![
        compressed(good, b"good"),
        compressed(lied(&FUNCTION.digest(&bomb), 1000), &bomb),
        compressed(FUNCTION.digest(b"x"), b"y"),
        Request { compressor: ZSTD, ..blob(Some(FUNCTION.digest(b"plain")), b"plain") },
        Request { compressor: 77, ..blob(Some(other), b"other") },
        Request { compressor: -1, ..blob(Some(other), b"other") },
        Request { compressor: ZSTD, ..blob(Some(FUNCTION.digest(b"")), b"") },
        blob(Some(other), b"other"),
    ];
    let invalid = Code::InvalidArgument as i32;
    assert_eq!(codes(&served, requests).await, [0, invalid, invalid, invalid, invalid, invalid, invalid, 0]);
    assert!(served.fixture.store.find_missing(&[good, other]).await.unwrap().is_empty());

    let corrupt = served.fixture.put("corrupt").await;
    served.fixture.store.corrupt(&corrupt);
    let mut asked = read(&[corrupt, good, FUNCTION.digest(b"absent"), good]);
    asked.digests.push(reapi::Digest { hash: "../..".into(), size_bytes: 1 });
    asked.digests.push(reapi::Digest { hash: good.hash(), size_bytes: -1 });
    let answer = served.cas().batch_read_blobs(asked.clone()).await.unwrap().into_inner();
    let codes: Vec<i32> = answer.responses.iter().map(|response| response.status.as_ref().unwrap().code).collect();
    let absent = Code::NotFound as i32;
    assert_eq!(codes, [absent, 0, absent, 0, invalid, invalid]);
    assert!(answer.responses.iter().map(|response| response.digest.as_ref().unwrap()).eq(&asked.digests));
}

#[tokio::test]
async fn a_batch_must_not_unfold_beyond_the_limit() {
    let served = Served::start();
    let zeros = vec![0; 3 << 20];
    let all = vec![compressed(FUNCTION.digest(&zeros), &zeros); 2];
    refused(served.cas().batch_update_blobs(update(all)).await, Code::InvalidArgument, "are the most");
}
