//! Servers that do not give the file: which of them are asked again, and that nothing of it is taken for the file.

use std::time::Instant;

use reqwest::StatusCode;

use super::addresses::unused_port;
use super::*;
use crate::source::fetch::attempts::pause;
use crate::transport::Backoff;

#[tokio::test]
async fn what_may_pass_is_asked_for_again() {
    for status in ["408 Request Timeout", "429 Too Many Requests", "500 Oops", "502 Oops", "503 Busy", "504 Oops"] {
        let server = Server::start(move |count, _| match count {
            0 | 1 => Answer::new(status).header("Retry-After", "0"),
            _ => Answer::file(b"text"),
        })
        .await;
        let place = Place::new();
        place.get(b"text", &[server.url("/")]).await;
        assert_eq!(server.count(), 3, "{status}");
    }
}

#[tokio::test]
async fn attempts_are_limited() {
    let server = Server::start(|_, _| Answer::new("503 Busy")).await;
    let place = Place::new();
    let reason = place.reason(b"text", server.url("/")).await;
    let Reason::Status { status, retry_after: None } = reason else { panic!("{reason:?}") };
    assert_eq!((status, server.count()), (StatusCode::SERVICE_UNAVAILABLE, 3));
    place.assert_empty();
}

#[tokio::test]
async fn what_does_not_pass_is_asked_for_once() {
    for status in
        ["400 Bad", "401 Who", "403 No", "404 Not Found", "410 Gone", "416 No", "204 None", "206 Part", "304 Same"]
    {
        let server = Server::start(move |_, _| Answer::new(status)).await;
        let place = Place::new();
        let reason = place.reason(b"text", server.url("/")).await;
        assert!(matches!(reason, Reason::Status { .. }), "{status}: {reason:?}");
        assert_eq!(server.count(), 1, "{status}");
        place.assert_empty();
    }
}

#[tokio::test]
async fn a_server_that_wants_to_be_left_alone_for_long_is() {
    let server = Server::start(|_, _| Answer::new("429 Too Many Requests").header("Retry-After", "11")).await;
    let place = Place::new();
    let reason = place.reason(b"text", server.url("/")).await;
    assert!(matches!(reason, Reason::Status { retry_after: Some(11), .. }), "{reason:?}");
    assert_eq!(reason.to_string(), "it answers 429 Too Many Requests (to be asked again in 11 s)");
    assert_eq!(server.count(), 1);
}

#[test]
fn a_server_says_how_long_to_wait() {
    let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
    let busy = |retry_after| Reason::Status { status: StatusCode::TOO_MANY_REQUESTS, retry_after };
    assert_eq!(pause(&busy(Some(10)), &mut backoff), Some(Duration::from_secs(10)));
    assert_eq!(pause(&busy(Some(11)), &mut backoff), None);
    assert!(pause(&busy(None), &mut backoff).unwrap() <= Duration::from_millis(1));
}

#[tokio::test]
async fn a_wrong_file_is_asked_for_once_and_shown_by_its_checksum() {
    let server = Server::start(|_, _| Answer::file(b"<html>").header("ETag", "\"a\"")).await;
    let place = Place::new();
    let reason = place.reason(b"text", server.url("/")).await;
    let (expected, actual) = (blob_id(b"text").to_string(), blob_id(b"<html>").to_string());
    let Reason::Mismatch(mismatch) = reason else { panic!("{reason:?}") };
    assert_eq!(mismatch, Mismatch::Checksum { function: CheckedFunction::GitBlob, expected, actual });
    assert_eq!(server.count(), 1);
    place.assert_empty();
}

#[tokio::test]
async fn a_checksum_beside_the_id_is_checked_too() {
    let server = Server::start(|_, _| Answer::file(b"text")).await;
    let place = Place::new();
    let zeros = "0".repeat(128);
    let plain = wanted(b"text", &[server.url("/")]);
    for (sha256, sha512) in [(Some(&zeros[..64]), None), (None, Some(&zeros[..]))] {
        let wanted = Wanted { sha256, sha512, addresses: plain.addresses.clone(), ..plain };
        let error = place.fetcher.fetch(&wanted, place.directory.path(), &Silent).await.err().unwrap();
        let FetchError::Nowhere { failures, .. } = error else { panic!("{error}") };
        assert!(matches!(failures[0].reason, Reason::Mismatch(Mismatch::Checksum { .. })));
        place.assert_empty();
    }
}

#[tokio::test]
async fn nobody_listening_is_tried_again_and_told() {
    let place = Place::new();
    let address = format!("http://127.0.0.1:{}/", unused_port().await);
    let reason = place.reason(b"text", address).await;
    assert!(matches!(reason, Reason::Unreachable { .. }) && reason.is_transient(), "{reason:?}");
    assert!(reason.to_string().starts_with("cannot connect: Connection refused"), "{reason}");
    place.assert_empty();
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let server = Server::start(|_, _| Answer::nothing().stall(0)).await;
    let place = Place::with(|options| {
        options.connect_timeout = Duration::from_millis(50);
        options.stall_timeout = Duration::from_millis(50);
    });
    let began = Instant::now();
    let reason = place.reason(b"text", server.url("/")).await;
    assert!(matches!(reason, Reason::Stalled { milliseconds: 50, done: 0 }), "{reason:?}");
    assert!(server.count() <= 3 && began.elapsed() < Duration::from_secs(5));
    place.assert_empty();
}

#[tokio::test]
async fn a_server_that_hangs_up_is_given_up() {
    let server = Server::start(|_, _| Answer::nothing()).await;
    let place = Place::new();
    let reason = place.reason(b"text", server.url("/")).await;
    assert!(matches!(reason, Reason::Broken { done: 0, .. }), "{reason:?}");
    assert_eq!(server.count(), 3);
    place.assert_empty();
}

#[tokio::test]
async fn a_transfer_that_breaks_each_time_is_given_up() {
    let server = Server::start(|_, _| Answer::file(b"text").cut(2)).await;
    let place = Place::new();
    let reason = place.reason(b"text", server.url("/")).await;
    assert!(matches!(reason, Reason::Broken { done: 2, .. }), "{reason:?}");
    assert!(server.count() == 3 && server.seen().iter().all(|request| request.first().is_none()));
    place.assert_empty();
}

#[tokio::test]
async fn a_length_that_is_a_lie_does_not_make_a_file() {
    let server = Server::start(|_, request| match request.target.as_str() {
        "/less" => Answer::file(b"text and more").length(Some(4)),
        "/more" => Answer::file(b"text").length(Some(5)),
        _ => Answer::file(b"text").length(Some(3)),
    })
    .await;
    let place = Place::new();
    place.get(b"text", &[server.url("/less")]).await;
    let reasons = place.reasons(b"text", &[server.url("/more"), server.url("/short")]).await;
    assert!(matches!(reasons[..], [Reason::Broken { done: 4, .. }, Reason::Mismatch(_)]), "{reasons:?}");
    place.assert_empty();
}

#[tokio::test]
async fn a_file_that_is_too_large_by_its_length_is_not_read() {
    let server = Server::start(|_, _| Answer::file(b"").length(Some(11)).stall(0)).await;
    let place = Place::with(|options| options.max_bytes = 10);
    let reason = place.reason(b"text", server.url("/")).await;
    assert!(matches!(reason, Reason::TooLarge { limit: 10 }), "{reason:?}");
    assert_eq!(server.count(), 1);
    place.assert_empty();
}

#[tokio::test]
async fn a_file_without_end_is_cut_off() {
    let server = Server::start(|_, _| Answer::file(b"text").header("ETag", "\"a\"").endless()).await;
    let place = Place::with(|options| options.max_bytes = 3 << 20);
    let reason = place.reason(b"text", server.url("/")).await;
    assert!(matches!(reason, Reason::TooLarge { .. }), "{reason:?}");
    assert_eq!(server.count(), 1);
    place.assert_empty();
}

#[tokio::test]
async fn compressed_files_arrive_as_they_are() {
    let body = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let server = Server::start(move |_, _| Answer::file(&body).header("Content-Encoding", "gzip")).await;
    Place::new().get(&body, &[server.url("/a.tar.gz")]).await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to_is_no_fault_of_the_address() {
    let server = Server::start(|_, _| Answer::file(b"text")).await;
    let place = Place::new();
    let file = place.directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let nowhere = file.join("below");
    let error = place.fetcher.fetch(&wanted(b"text", &[server.url("/")]), &nowhere, &Silent).await.err().unwrap();
    assert!(matches!(error, FetchError::Store(_)), "{error}");
    assert_eq!(server.count(), 0);
}
