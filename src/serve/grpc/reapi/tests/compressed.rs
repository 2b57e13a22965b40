//! zstd on the wire.

use tonic::Code;
use zstd::stream::raw::CParameter;

use super::super::compression::Decompressor;
use super::streams::{pieces, read, write};
use super::{Served, lied, random, refused};
use crate::digest::Digest;
use crate::execute::fixture::FUNCTION;
use crate::proto::bytestream::{QueryWriteStatusRequest, WriteRequest};
use crate::store::BlobStore;

fn packed(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn upload_name(digest: &Digest) -> String {
    format!("main/uploads/u/compressed-blobs/zstd/{digest}")
}

/// Cuts the compressed form of a blob into the messages of an upload.
fn upload(digest: &Digest, compressed: &[u8]) -> Vec<WriteRequest> {
    let mut messages = pieces(digest, compressed);
    messages[0].resource_name = upload_name(digest);
    messages
}

/// Half of it can be made smaller.
fn mixed() -> Vec<u8> {
    [&random(1_500_000)[..], &[7; 1_500_000]].concat()
}

#[tokio::test]
async fn a_blob_is_read_compressed_from_any_place_of_its_plain_form() {
    let served = Served::start();
    let bytes = mixed();
    let digest = served.fixture.put(bytes.clone()).await;
    let name = format!("main/compressed-blobs/zstd/{digest}");
    for offset in [0, 1, 1_499_999, 2_999_999, 3_000_000] {
        let compressed = read(&served, name.clone(), offset, 0).await.unwrap();
        let rest = &bytes[usize::try_from(offset).unwrap()..];
        assert!(zstd::decode_all(&*compressed).unwrap() == rest, "{offset}");
        assert!(compressed.len() < 1_600_000);
    }
    for limit in [1, -1, i64::MAX] {
        refused(read(&served, name.clone(), 0, limit).await, Code::InvalidArgument, "read_limit");
    }
    for offset in [-1, 3_000_001] {
        refused(read(&served, name.clone(), offset, 0).await, Code::OutOfRange, "read_offset");
    }
    let absent = format!("main/compressed-blobs/zstd/{}", FUNCTION.digest(b"absent"));
    refused(read(&served, absent, 0, 0).await, Code::NotFound, "not in the CAS");
    let empty = format!("main/compressed-blobs/zstd/{}", FUNCTION.empty());
    assert_eq!(zstd::decode_all(&*read(&served, empty, 0, 0).await.unwrap()).unwrap(), b"");
}

#[tokio::test]
async fn a_corrupt_blob_is_never_given_out_compressed() {
    let served = Served::start();
    let digest = served.fixture.put(mixed()).await;
    served.fixture.store.corrupt(&digest);
    let name = format!("main/compressed-blobs/zstd/{digest}");
    refused(read(&served, name.clone(), 0, 0).await, Code::DataLoss, "corrupt");
    refused(read(&served, name, 0, 0).await, Code::NotFound, "not in the CAS");
}

#[tokio::test]
async fn a_blob_is_taken_compressed_and_stored_as_it_is() {
    let served = Served::start();
    let bytes = mixed();
    let digest = FUNCTION.digest(&bytes);
    let compressed = packed(&bytes);
    let size = i64::try_from(compressed.len()).unwrap();
    assert_eq!(write(&served, upload(&digest, &compressed)).await.unwrap(), size);
    assert!(served.fixture.store.get(&digest).await.unwrap().unwrap() == bytes);
    assert_eq!(write(&served, upload(&digest, &compressed)).await.unwrap(), -1);
    let status = QueryWriteStatusRequest { resource_name: upload_name(&digest) };
    let status = served.byte_stream().query_write_status(status).await.unwrap().into_inner();
    assert_eq!((status.committed_size, status.complete), (3_000_000, true));
    // Several frames are one stream; the end may be told in a message of its own.
    let bytes = random(10);
    let digest = FUNCTION.digest(&bytes);
    let mut messages = upload(&digest, &[packed(&bytes[..4]), packed(&bytes[4..])].concat());
    messages[0].finish_write = false;
    let write_offset = i64::try_from(messages[0].data.len()).unwrap();
    messages.push(WriteRequest { write_offset, finish_write: true, ..Default::default() });
    assert_eq!(write(&served, messages).await.unwrap(), write_offset);
}

#[tokio::test]
async fn compressed_uploads_that_are_not_what_they_say_leave_nothing() {
    let served = Served::start();
    let bytes = mixed();
    let digest = FUNCTION.digest(&bytes);
    let compressed = packed(&bytes);
    let changed = |change: &dyn Fn(&mut Vec<WriteRequest>)| {
        let mut messages = upload(&digest, &compressed);
        change(&mut messages);
        messages
    };
    let mut wide = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    wide.set_parameter(CParameter::WindowLog(27)).unwrap();
    std::io::Write::write_all(&mut wide, &bytes).unwrap();
    let wide = wide.finish().unwrap();
    let cases = [
        ("end too early", changed(&|all| all.truncate(4))),
        ("end too early", upload(&digest, &compressed[..compressed.len() - 1])),
        ("cannot be read as zstd", upload(&digest, &bytes)),
        ("cannot be read as zstd", upload(&digest, &[&compressed[..], b"junk that follows"].concat())),
        ("cannot be read as zstd", upload(&digest, &wide)),
        ("is `", upload(&digest, &packed(&bytes[1..]))),
        ("more bytes came", upload(&lied(&digest, 2_999_999), &compressed)),
        ("is `", upload(&lied(&digest, 3_000_001), &compressed)),
        ("write_offset is 100000 after 200000 bytes", changed(&|all| all[2].write_offset = 100_000)),
        ("write_offset is -1", changed(&|all| all[0].write_offset = -1)),
        ("begins at 0", changed(&|all| all[0].write_offset = 7)),
        ("resource name changed", changed(&|all| all[2].resource_name = super::streams::upload_name(&digest))),
    ];
    for (text, messages) in cases {
        refused(write(&served, messages).await, Code::InvalidArgument, text);
    }
    assert_eq!(served.fixture.store.find_missing(&[digest]).await.unwrap(), [digest]);
    assert_eq!(served.fixture.temporary_files(), 0);
}

#[tokio::test]
async fn few_bytes_that_stand_for_very_many_are_refused_before_they_unfold() {
    let served = Served::start();
    // 256 MiB in some 10 KiB.
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(0), 256 << 20), 1).unwrap();
    let digest = lied(&FUNCTION.digest(b"bomb"), 1000);
    refused(write(&served, upload(&digest, &bomb)).await, Code::InvalidArgument, "more bytes came");
    assert_eq!(served.fixture.temporary_files(), 0);
    // Not one byte more is unfolded than the blob may have.
    let mut unfolded = 0;
    let mut decompressor = Decompressor::new(1000).unwrap();
    let refused = decompressor.feed(&bomb, |bytes| {
        unfolded += bytes.len();
        Ok::<_, std::convert::Infallible>(())
    });
    assert!(refused.is_err() && unfolded <= 1000, "{unfolded}");
}
