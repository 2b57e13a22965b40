//! Batches, and what is announced.

use tonic::Code;

use super::{INSTANCE, Served, lied, noise, refused};
use crate::digest::{Digest, DigestFunction};
use crate::execute::fixture::FUNCTION;
use crate::proto::reapi;
use crate::proto::reapi::batch_update_blobs_request::Request;
use crate::store::BlobStore;
use crate::store::wire::function_number;

pub(super) fn update(requests: Vec<Request>) -> reapi::BatchUpdateBlobsRequest {
    reapi::BatchUpdateBlobsRequest { instance_name: INSTANCE.into(), requests, digest_function: 0 }
}

pub(super) fn blob(digest: Option<Digest>, data: &[u8]) -> Request {
    Request { digest: digest.map(Into::into), data: data.to_vec(), ..Default::default() }
}

fn find(digests: Vec<reapi::Digest>) -> reapi::FindMissingBlobsRequest {
    let instance_name = INSTANCE.into();
    reapi::FindMissingBlobsRequest { instance_name, blob_digests: digests, digest_function: 0 }
}

pub(super) fn read(digests: &[Digest]) -> reapi::BatchReadBlobsRequest {
    let digests = digests.iter().map(|digest| (*digest).into()).collect();
    reapi::BatchReadBlobsRequest { instance_name: INSTANCE.into(), digests, ..Default::default() }
}

#[tokio::test]
async fn our_own_client_finds_a_conforming_store() {
    for function in DigestFunction::ALL {
        let served = Served::start();
        let (remote, large) = (served.remote(function), noise(5 << 20));
        let blobs = vec![(function.digest(b"small"), "small".into()), (function.digest(&large), large)];
        let digests: Vec<Digest> = blobs.iter().map(|(digest, _)| *digest).collect();
        assert_eq!(remote.find_missing(&digests).await.unwrap(), digests);
        remote.put_batch(blobs.clone()).await.unwrap();
        assert_eq!(remote.get_batch(&digests).await.unwrap(), blobs.clone().into_iter().collect());
        remote.put_batch(blobs).await.unwrap();
        assert!(remote.find_missing(&digests).await.unwrap().is_empty());
        assert_eq!(remote.get(&function.digest(b"absent")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_empty_blob_is_there_without_being_sent() {
    for function in DigestFunction::ALL {
        let served = Served::start();
        let remote = served.remote(function);
        assert!(remote.find_missing(&[function.empty()]).await.unwrap().is_empty());
        assert_eq!(remote.get(&function.empty()).await.unwrap().as_deref(), Some(&b""[..]));
        assert!(remote.read_stream(&function.empty(), &mut Vec::new()).await.unwrap());
    }
}

#[tokio::test]
async fn each_blob_of_a_batch_has_its_own_status() {
    let served = Served::start();
    let good = FUNCTION.digest(b"good");
    let mut compressed = blob(Some(good), b"good");
    compressed.compressor = reapi::compressor::Value::Brotli as i32;
    let negative = Request { digest: Some(reapi::Digest { hash: good.hash(), size_bytes: -1 }), ..Default::default() };
    let requests = vec![
        blob(Some(FUNCTION.digest(b"other")), b"wrong"),
        blob(Some(lied(&good, 5)), b"good"),
        blob(None, b"good"),
        negative,
        compressed,
        blob(Some(good), b"good"),
    ];
    let answer = served.cas().batch_update_blobs(update(requests)).await.unwrap().into_inner();
    let codes: Vec<i32> = answer.responses.into_iter().map(|response| response.status.unwrap().code).collect();
    let invalid = Code::InvalidArgument as i32;
    assert_eq!(codes, [invalid, invalid, invalid, invalid, invalid, 0]);
    let digests = [FUNCTION.digest(b"other"), lied(&good, 5), good];
    let answer = served.cas().batch_read_blobs(read(&digests)).await.unwrap().into_inner();
    let codes: Vec<i32> = answer.responses.iter().map(|response| response.status.as_ref().unwrap().code).collect();
    assert_eq!(codes, [Code::NotFound as i32, Code::NotFound as i32, 0]);
    assert_eq!(answer.responses[2].data, b"good");
}

#[tokio::test]
async fn batches_beyond_the_limit_are_refused() {
    let served = Served::start();
    let capabilities = reapi::GetCapabilitiesRequest { instance_name: INSTANCE.into() };
    let capabilities = served.capabilities().get_capabilities(capabilities).await.unwrap().into_inner();
    let cache = capabilities.cache_capabilities.unwrap();
    let limit = usize::try_from(cache.max_batch_total_size_bytes).unwrap();
    let (fits, large) = (noise(limit), noise(limit + 1));
    let all = vec![blob(Some(FUNCTION.digest(&fits)), &fits)];
    let answer = served.cas().batch_update_blobs(update(all)).await.unwrap().into_inner();
    assert_eq!(answer.responses[0].status.as_ref().unwrap().code, 0);
    let answer = served.cas().batch_read_blobs(read(&[FUNCTION.digest(&fits)])).await.unwrap().into_inner();
    assert_eq!(answer.responses[0].data.len(), limit);
    let all = vec![blob(Some(FUNCTION.digest(&large)), &large)];
    refused(served.cas().batch_update_blobs(update(all)).await, Code::InvalidArgument, "are the most");
    let endless = lied(&FUNCTION.digest(b"x"), u64::try_from(i64::MAX).unwrap());
    refused(served.cas().batch_read_blobs(read(&[endless; 3])).await, Code::InvalidArgument, "are the most");
}

#[tokio::test]
async fn only_the_instance_and_the_functions_that_are_offered_are_answered() {
    let served = Served::start();
    let other = reapi::FindMissingBlobsRequest { instance_name: "other".into(), ..find(Vec::new()) };
    refused(served.cas().find_missing_blobs(other).await, Code::InvalidArgument, "`other` is not served here; `main`");
    let md5 = reapi::FindMissingBlobsRequest { digest_function: 3, ..find(Vec::new()) };
    refused(served.cas().find_missing_blobs(md5).await, Code::InvalidArgument, "digest function 3");
    let nowhere = reapi::GetCapabilitiesRequest { instance_name: "x".repeat(100_000) };
    refused(served.capabilities().get_capabilities(nowhere).await, Code::InvalidArgument, "`main` is");
    let split = reapi::GetChunkMappingRequest { instance_name: INSTANCE.into(), ..Default::default() };
    refused(served.cas().get_chunk_mapping(split).await, Code::Unimplemented, "");
}

#[tokio::test]
async fn announced_is_what_is_offered() {
    let served = Served::start();
    let request = reapi::GetCapabilitiesRequest { instance_name: INSTANCE.into() };
    let capabilities = served.capabilities().get_capabilities(request).await.unwrap().into_inner();
    let cache = capabilities.cache_capabilities.unwrap();
    let newest = capabilities.high_api_version.unwrap();
    assert_eq!((newest.major, newest.minor), (2, 12));
    assert_eq!(cache.digest_functions, DigestFunction::ALL.map(function_number));
    let zstd = [reapi::compressor::Value::Zstd as i32];
    assert_eq!(
        (&cache.supported_compressors[..], &cache.supported_batch_update_compressors[..]),
        (&zstd[..], &zstd[..])
    );
    assert!(cache.split_blob_support && cache.splice_blob_support);
    assert_eq!(cache.fast_cdc_2020_params.unwrap().avg_chunk_size_bytes, 512 << 10);
    // Nobody has said here who asks; by roles it is looked at in `tests/it/roles`.
    assert!(!capabilities.execution_capabilities.unwrap().exec_enabled);
}

#[tokio::test]
async fn many_digests_are_answered_and_malformed_ones_refused() {
    let served = Served::start();
    let absent = |at: u64| reapi::Digest::from(FUNCTION.digest(&at.to_le_bytes()));
    let all: Vec<reapi::Digest> = (0..50_000).map(absent).collect();
    let mut cas = served.cas().max_decoding_message_size(16 << 20);
    let answer = cas.find_missing_blobs(find(all.clone())).await.unwrap().into_inner();
    assert_eq!(answer.missing_blob_digests, all);
    let too_much: Vec<reapi::Digest> = std::iter::repeat_n(absent(0), 300_000).collect();
    refused(cas.find_missing_blobs(find(too_much)).await, Code::OutOfRange, "length too large");
    for (hash, size_bytes) in [("../../etc/passwd", 1), ("", 0), (&"A".repeat(64), 1), (&"a".repeat(64), -1)] {
        let digest = reapi::Digest { hash: hash.into(), size_bytes };
        refused(cas.find_missing_blobs(find(vec![digest])).await, Code::InvalidArgument, "blob_digests");
    }
}
