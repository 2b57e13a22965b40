//! Uploads that break off, and go on.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::streams::{pieces, upload_name, write};
use super::{Served, noise, refused};
use crate::digest::Digest;
use crate::execute::fixture::FUNCTION;
use crate::proto::bytestream::{QueryWriteStatusRequest, WriteRequest};
use crate::store::BlobStore;

async fn committed(served: &Served, digest: &Digest) -> Result<i64, Status> {
    let request = QueryWriteStatusRequest { resource_name: upload_name(digest) };
    Ok(served.byte_stream().query_write_status(request).await?.into_inner().committed_size)
}

/// Returns the messages of an upload from this offset on, a multiple of 100,000.
fn from(digest: &Digest, bytes: &[u8], offset: i64) -> Vec<WriteRequest> {
    let mut messages: Vec<_> =
        pieces(digest, bytes).into_iter().filter(|message| message.write_offset >= offset).collect();
    messages[0].resource_name = upload_name(digest);
    messages
}

/// Begins an upload and leaves it open once the server has taken all of these messages.
async fn begin(served: &Served, digest: &Digest, messages: Vec<WriteRequest>) -> Open {
    let (sender, receiver) = mpsc::channel(1);
    let mut client = served.byte_stream();
    let call = tokio::spawn(async move { client.write(ReceiverStream::new(receiver)).await });
    for message in messages {
        sender.send(message).await.unwrap();
    }
    // Each question is a round trip, so this waits for nothing but the server.
    while committed(served, digest).await.unwrap_or(0) < 1_000_000 {}
    Open { sender, call }
}

struct Open {
    sender: mpsc::Sender<WriteRequest>,
    call: tokio::task::JoinHandle<Result<tonic::Response<crate::proto::bytestream::WriteResponse>, Status>>,
}

#[tokio::test]
async fn an_upload_that_stops_goes_on_where_it_stopped() {
    let served = Served::start();
    let bytes = noise(1_000_000);
    let digest = FUNCTION.digest(&bytes);
    let mut stopped = pieces(&digest, &bytes);
    stopped.truncate(4);
    assert_eq!(write(&served, stopped).await.unwrap(), 400_000);
    assert_eq!(committed(&served, &digest).await.unwrap(), 400_000);
    assert_eq!(served.fixture.store.find_missing(&[digest]).await.unwrap(), [digest]);
    for offset in [300_000, 500_000] {
        let wrong = write(&served, from(&digest, &bytes, offset)).await;
        refused(wrong, Code::InvalidArgument, &format!("write_offset is {offset} after 400000 bytes"));
    }
    assert_eq!(write(&served, from(&digest, &bytes, 400_000)).await.unwrap(), 1_000_000);
    assert_eq!(served.fixture.store.get(&digest).await.unwrap(), Some(bytes));
    assert_eq!(served.fixture.temporary_files(), 0);
}

#[tokio::test]
async fn an_upload_whose_client_goes_away_is_kept_and_can_begin_again() {
    let served = Served::start();
    let bytes = noise(2_000_000);
    let digest = FUNCTION.digest(&bytes);
    let mut some = pieces(&digest, &bytes);
    some.truncate(15);
    let open = begin(&served, &digest, some).await;
    open.call.abort();
    assert!(open.call.await.unwrap_err().is_cancelled());
    let size = committed(&served, &digest).await.unwrap();
    assert!((1_000_000..=1_500_000).contains(&size), "{size}");
    assert_eq!(write(&served, pieces(&digest, &bytes)).await.unwrap(), 2_000_000);
    assert_eq!(served.fixture.store.get(&digest).await.unwrap(), Some(bytes));
}

#[tokio::test]
async fn who_comes_last_goes_on_and_the_one_before_cannot_spoil_it() {
    let served = Served::start();
    let bytes = noise(3_000_000);
    let digest = FUNCTION.digest(&bytes);
    let mut all = pieces(&digest, &bytes);
    let rest = all.split_off(11);
    let open = begin(&served, &digest, all).await;
    let size = committed(&served, &digest).await.unwrap();
    let mut second = from(&digest, &bytes, size);
    second.truncate(3);
    assert_eq!(write(&served, second).await.unwrap(), size + 300_000);
    for message in rest {
        if open.sender.send(message).await.is_err() {
            break;
        }
    }
    refused(open.call.await.unwrap(), Code::Aborted, "another Write");
    assert_eq!(committed(&served, &digest).await.unwrap(), size + 300_000);
    assert_eq!(write(&served, from(&digest, &bytes, size + 300_000)).await.unwrap(), 3_000_000);
    assert_eq!(served.fixture.store.get(&digest).await.unwrap(), Some(bytes));
}

#[tokio::test]
async fn two_who_begin_under_one_name_both_succeed() {
    let served = Served::start();
    let bytes = noise(3_000_000);
    let digest = FUNCTION.digest(&bytes);
    let upload = || write(&served, pieces(&digest, &bytes));
    let (one, other) = tokio::join!(upload(), upload());
    assert_eq!((one.unwrap(), other.unwrap()), (3_000_000, 3_000_000));
    assert_eq!(served.fixture.store.get(&digest).await.unwrap(), Some(bytes));
    assert_eq!(served.fixture.temporary_files(), 0);
}

#[tokio::test]
async fn all_bytes_are_a_blob_although_the_client_does_not_say_so() {
    let served = Served::start();
    let bytes = noise(250_000);
    let digest = FUNCTION.digest(&bytes);
    let mut messages = pieces(&digest, &bytes);
    messages[2].finish_write = false;
    assert_eq!(write(&served, messages).await.unwrap(), 250_000);
    assert!(served.fixture.store.find_missing(&[digest]).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_so_many_uploads_are_kept() {
    let served = Served::start();
    for at in 0..70_u64 {
        let digest = FUNCTION.digest(&at.to_le_bytes());
        let data = at.to_le_bytes()[..4].to_vec();
        let message = WriteRequest { resource_name: upload_name(&digest), data, ..Default::default() };
        assert_eq!(write(&served, vec![message]).await.unwrap(), 4);
    }
    let known = |at: u64| FUNCTION.digest(&at.to_le_bytes());
    refused(committed(&served, &known(5)).await, Code::NotFound, "given up");
    for at in 6..70 {
        assert_eq!(committed(&served, &known(at)).await.unwrap(), 4);
    }
    // Room is reserved for the whole, so one that is too large to be kept is not.
    let large = super::lied(&known(0), 9 << 30);
    let message = WriteRequest { resource_name: upload_name(&large), data: vec![1], ..Default::default() };
    assert_eq!(write(&served, vec![message]).await.unwrap(), 1);
    refused(committed(&served, &large).await, Code::NotFound, "given up");
}
