//! Reading and writing blobs of any size.

use tonic::Code;

use super::{Served, lied, noise, refused};
use crate::digest::{Digest, DigestFunction};
use crate::execute::fixture::FUNCTION;
use crate::proto::bytestream::{QueryWriteStatusRequest, ReadRequest, WriteRequest};
use crate::store::BlobStore;

pub(super) fn upload_name(digest: &Digest) -> String {
    format!("main/uploads/7b3d2b2c-0000-4000-8000-000000000000/blobs/{digest}")
}

/// Cuts an upload into pieces of 100,000 bytes.
pub(super) fn pieces(digest: &Digest, bytes: &[u8]) -> Vec<WriteRequest> {
    let mut pieces: Vec<WriteRequest> = Vec::new();
    let mut write_offset = 0;
    for piece in bytes.chunks(100_000) {
        let resource_name = if pieces.is_empty() { upload_name(digest) } else { String::new() };
        pieces.push(WriteRequest { resource_name, write_offset, finish_write: false, data: piece.to_vec() });
        write_offset += i64::try_from(piece.len()).unwrap();
    }
    if let Some(last) = pieces.last_mut() {
        last.finish_write = true;
    }
    pieces
}

pub(super) async fn write(served: &Served, pieces: Vec<WriteRequest>) -> Result<i64, tonic::Status> {
    let answer = served.byte_stream().write(tokio_stream::iter(pieces)).await?;
    Ok(answer.into_inner().committed_size)
}

pub(super) async fn read(served: &Served, name: String, offset: i64, limit: i64) -> Result<Vec<u8>, tonic::Status> {
    let request = ReadRequest { resource_name: name, read_offset: offset, read_limit: limit };
    let mut stream = served.byte_stream().read(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.message().await? {
        bytes.extend(piece.data);
    }
    Ok(bytes)
}

#[tokio::test]
async fn any_part_of_a_blob_can_be_read() {
    let served = Served::start();
    let bytes = noise(1_000_000);
    let digest = served.fixture.put(bytes.clone()).await;
    let name = format!("main/blobs/{digest}");
    for (offset, limit, expected) in [
        (0, 0, &bytes[..]),
        (0, 1, &bytes[..1]),
        (999_999, 0, &bytes[999_999..]),
        (1_000_000, 0, &[]),
        (300_000, 400_000, &bytes[300_000..700_000]),
        (300_000, i64::MAX, &bytes[300_000..]),
    ] {
        assert!(read(&served, name.clone(), offset, limit).await.unwrap() == expected, "{offset} {limit}");
    }
    for offset in [-1, 1_000_001, i64::MIN] {
        refused(read(&served, name.clone(), offset, 0).await, Code::OutOfRange, "read_offset");
    }
    refused(read(&served, name.clone(), 0, -1).await, Code::InvalidArgument, "read_limit");
    let longer = format!("main/blobs/{}", lied(&digest, 1_000_001));
    refused(read(&served, longer, 0, 0).await, Code::NotFound, "not in the CAS");
    refused(read(&served, format!("other/blobs/{digest}"), 0, 0).await, Code::InvalidArgument, "`main` is");
    refused(
        read(&served, format!("main/compressed-blobs/brotli/{digest}"), 0, 0).await,
        Code::Unimplemented,
        "zstd is",
    );
}

#[tokio::test]
async fn a_corrupt_blob_is_absent_before_its_first_byte_is_sent() {
    let served = Served::start();
    let digest = served.fixture.put(noise(1_000_000)).await;
    served.fixture.store.corrupt(&digest);
    refused(read(&served, format!("main/blobs/{digest}"), 0, 10).await, Code::NotFound, "not in the CAS");
}

#[tokio::test]
async fn a_blob_comes_in_pieces_and_a_second_time_is_answered_at_once() {
    let served = Served::start();
    let bytes = noise(1_000_000);
    let digest = FUNCTION.digest(&bytes);
    let status = QueryWriteStatusRequest { resource_name: upload_name(&digest) };
    refused(served.byte_stream().query_write_status(status.clone()).await, Code::NotFound, "begin at 0");
    assert_eq!(write(&served, pieces(&digest, &bytes)).await.unwrap(), 1_000_000);
    let after = served.byte_stream().query_write_status(status).await.unwrap().into_inner();
    assert_eq!((after.committed_size, after.complete), (1_000_000, true));
    assert_eq!(served.fixture.store.get(&digest).await.unwrap(), Some(bytes.clone()));
    // Not even looked at.
    let mut again = pieces(&digest, &bytes);
    again.truncate(1);
    assert_eq!(write(&served, again).await.unwrap(), 1_000_000);
}

#[tokio::test]
async fn uploads_that_are_not_what_they_say_leave_nothing() {
    let served = Served::start();
    let bytes = noise(500_000);
    let digest = FUNCTION.digest(&bytes);
    let good = || pieces(&digest, &bytes);
    let changed = |change: &dyn Fn(&mut Vec<WriteRequest>)| {
        let mut pieces = good();
        change(&mut pieces);
        pieces
    };
    let cases = [
        ("write_offset is 200000 after 100000 bytes", changed(&|all| all.swap(1, 2))),
        ("write_offset is 0 after 100000 bytes", changed(&|all| all[1].write_offset = 0)),
        ("write_offset is -1 after 0 bytes", changed(&|all| all[0].write_offset = -1)),
        ("is `", changed(&|all| all[3].data[7] ^= 1)),
        ("is `", changed(&|all| all[2].finish_write = true)),
        ("resource name changed", changed(&|all| all[2].resource_name = upload_name(&FUNCTION.empty()))),
        ("more bytes came", pieces(&lied(&digest, 450_000), &bytes)),
        ("is `", pieces(&lied(&digest, 500_001), &bytes)),
        ("other` is not served here", changed(&|all| all[0].resource_name = format!("other/uploads/u/blobs/{digest}"))),
        ("not of the form", changed(&|all| all[0].resource_name = format!("main/blobs/{digest}"))),
        ("stream was empty", Vec::new()),
    ];
    for (text, pieces) in cases {
        refused(write(&served, pieces).await, Code::InvalidArgument, text);
    }
    let claimed = [digest, lied(&digest, 450_000), lied(&digest, 500_001)];
    assert_eq!(served.fixture.store.find_missing(&claimed).await.unwrap(), claimed);
    assert_eq!(served.fixture.temporary_files(), 0);
}

#[tokio::test]
async fn blake3_blobs_have_their_function_in_the_name() {
    let served = Served::start();
    let bytes = noise(10);
    let digest = DigestFunction::Blake3.digest(&bytes);
    let mut pieces = pieces(&digest, &bytes);
    refused(write(&served, pieces.clone()).await, Code::InvalidArgument, "is `");
    pieces[0].resource_name = format!("main/uploads/u/blobs/blake3/{digest}/with/more");
    assert_eq!(write(&served, pieces).await.unwrap(), 10);
    assert_eq!(read(&served, format!("main/blobs/blake3/{digest}"), 0, 0).await.unwrap(), bytes);
}
