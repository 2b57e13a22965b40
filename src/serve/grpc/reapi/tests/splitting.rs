//! SplitBlob and SpliceBlob.

use tonic::{Code, Status};

use super::{INSTANCE, Served, lied, random, refused};
use crate::digest::Digest;
use crate::execute::fixture::{FUNCTION, parsed};
use crate::proto::reapi;
use crate::store::BlobStore;

async fn split(served: &Served, blob: Digest) -> Result<Vec<Digest>, Status> {
    let request = reapi::SplitBlobRequest {
        instance_name: INSTANCE.into(),
        blob_digest: Some(blob.into()),
        // One that is not offered: the server may choose another.
        chunking_function: 2,
        ..Default::default()
    };
    let answer = served.cas().split_blob(request).await?.into_inner();
    assert_eq!(answer.chunking_function, reapi::chunking_function::Value::FastCdc2020 as i32);
    Ok(answer.chunk_digests.iter().map(parsed).collect())
}

async fn splice(served: &Served, blob: Digest, chunks: &[Digest]) -> Result<Digest, Status> {
    let request = reapi::SpliceBlobRequest {
        instance_name: INSTANCE.into(),
        blob_digest: Some(blob.into()),
        chunk_digests: chunks.iter().map(|chunk| (*chunk).into()).collect(),
        ..Default::default()
    };
    let answer = served.cas().splice_blob(request).await?.into_inner();
    Ok(parsed(&answer.blob_digest.unwrap()))
}

#[tokio::test]
async fn a_blob_is_split_into_blobs_from_which_it_is_made_again() {
    let served = Served::start();
    let store = &served.fixture.store;
    let bytes = random(20_000_000);
    let blob = served.fixture.put(bytes.clone()).await;
    let chunks = split(&served, blob).await.unwrap();
    assert!(chunks.len() > 16, "{}", chunks.len());
    let mut whole = Vec::new();
    for chunk in &chunks {
        whole.extend(store.get(chunk).await.unwrap().expect("the chunk is in the CAS"));
    }
    assert!(whole == bytes);
    assert_eq!(split(&served, blob).await.unwrap(), chunks);
    // There already: nothing to do.
    assert_eq!(splice(&served, blob, &chunks).await.unwrap(), blob);
    store.remove(&blob).unwrap();
    assert_eq!(splice(&served, blob, &chunks).await.unwrap(), blob);
    assert!(store.get(&blob).await.unwrap().unwrap() == bytes);
    assert_eq!(split(&served, FUNCTION.empty()).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_not_there_or_corrupt_cannot_be_split() {
    let served = Served::start();
    refused(split(&served, FUNCTION.digest(b"absent")).await, Code::NotFound, "not in the CAS");
    let corrupt = served.fixture.put(random(3_000_000)).await;
    served.fixture.store.corrupt(&corrupt);
    refused(split(&served, corrupt).await, Code::NotFound, "not in the CAS");
    let endless = lied(&corrupt, u64::try_from(i64::MAX).unwrap());
    refused(split(&served, endless).await, Code::InvalidArgument, "too large");
}

#[tokio::test]
async fn chunks_that_are_not_the_blob_make_none() {
    let served = Served::start();
    let [one, two] = ["one", "two"].map(|text| (FUNCTION.digest(text.as_bytes()), text.into()));
    served.fixture.store.put_batch(vec![one.clone(), two.clone()]).await.unwrap();
    let (one, two) = (one.0, two.0);
    let blob = FUNCTION.digest(b"onetwo");
    refused(splice(&served, blob, &[two, one]).await, Code::InvalidArgument, "is `");
    refused(splice(&served, blob, &[one]).await, Code::InvalidArgument, "do not add up");
    refused(splice(&served, blob, &[]).await, Code::InvalidArgument, "do not add up");
    refused(splice(&served, blob, &[one, FUNCTION.digest(b"abc")]).await, Code::NotFound, "not in the CAS");
    refused(splice(&served, blob, &[one, lied(&two, 4)]).await, Code::InvalidArgument, "do not add up");
    refused(splice(&served, lied(&blob, 7), &[one, lied(&two, 4)]).await, Code::NotFound, "not in the CAS");
    let half = lied(&two, u64::try_from(i64::MAX).unwrap());
    refused(splice(&served, lied(&blob, 0), &[half; 2]).await, Code::InvalidArgument, "do not add up");
    refused(splice(&served, lied(&blob, 4), &[half, half, half]).await, Code::InvalidArgument, "do not add up");
    refused(splice(&served, blob, &vec![FUNCTION.empty(); 50_000]).await, Code::InvalidArgument, "are the most");
    let missing = [blob];
    assert_eq!(served.fixture.store.find_missing(&missing).await.unwrap(), missing);
    assert_eq!(served.fixture.temporary_files(), 0);
    assert_eq!(splice(&served, blob, &[one, FUNCTION.empty(), two]).await.unwrap(), blob);
}

#[tokio::test]
async fn a_corrupt_chunk_makes_no_blob() {
    let served = Served::start();
    let bytes = random(6_000_000);
    let (large, small) = bytes.split_at(5_000_000);
    let blob = FUNCTION.digest(&bytes);
    for corrupt in [0, 1] {
        let chunks = [served.fixture.put(large.to_vec()).await, served.fixture.put(small.to_vec()).await];
        served.fixture.store.corrupt(&chunks[corrupt]);
        refused(splice(&served, blob, &chunks).await, Code::NotFound, "not in the CAS");
        assert_eq!(served.fixture.store.find_missing(&chunks).await.unwrap(), [chunks[corrupt]]);
    }
    assert_eq!(served.fixture.temporary_files(), 0);
}
