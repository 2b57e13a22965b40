//! Downloads that break off, and how they are gone on with.

use super::*;

const TAG: &str = "\"one\"";

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_stopped() {
    let body = bytes(10_000);
    let served = body.clone();
    let server = Server::start(move |count, request| {
        let answer = Answer::part(request, &served, TAG);
        if count == 0 { answer.cut(6000) } else { answer }
    })
    .await;
    let (place, told) = (Place::new(), Told::default());
    let file = place.fetcher.fetch(&wanted(&body, &[server.url("/")]), place.directory.path(), &told).await.unwrap();
    assert!(std::fs::read(file.path()).unwrap() == body);
    let seen = server.seen();
    assert_eq!((seen.len(), seen[1].first(), seen[1].header("if-range")), (2, Some(6000), Some(TAG)));
    let begun = format!("{} Some(10000)", server.url("/"));
    assert_eq!(told.0.into_inner().unwrap(), [begun.as_str(), "6000", begun.as_str(), "10000"]);
    drop(file);
    place.assert_empty();
}

#[tokio::test]
async fn a_stalled_transfer_goes_on_where_it_stopped() {
    let body = bytes(10_000);
    let served = body.clone();
    let server = Server::start(move |count, request| {
        let answer = Answer::part(request, &served, TAG);
        if count == 0 { answer.stall(6000) } else { answer }
    })
    .await;
    let place = Place::with(|options| options.stall_timeout = Duration::from_millis(500));
    place.get(&body, &[server.url("/")]).await;
    assert_eq!(server.seen()[1].first(), Some(6000));
}

#[tokio::test]
async fn the_time_of_the_last_change_serves_as_version() {
    let body = bytes(10_000);
    let served = body.clone();
    let time = "Sat, 21 Nov 2026 00:00:00 GMT";
    let server = Server::start(move |count, request| match (count, request.header("if-range")) {
        (0, _) => Answer::file(&served).header("ETag", "W/\"weak\"").header("Last-Modified", time).cut(6000),
        (_, Some(version)) if version == time => Answer::rest(6000, &served),
        _ => Answer::new("404 Not Found"),
    })
    .await;
    Place::new().get(&body, &[server.url("/")]).await;
}

#[tokio::test]
async fn a_server_that_ignores_ranges_starts_over() {
    let body = bytes(10_000);
    let served = body.clone();
    let server = Server::start(move |count, _| {
        let answer = Answer::file(&served).header("ETag", TAG);
        if count == 0 { answer.cut(6000) } else { answer }
    })
    .await;
    let place = Place::new();
    place.get(&body, &[server.url("/")]).await;
    assert_eq!(server.seen()[1].first(), Some(6000));
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_fetched_anew() {
    let (old, new) = (bytes(9000), bytes(10_000).into_iter().rev().collect::<Vec<u8>>());
    let served = new.clone();
    let server = Server::start(move |count, request| match count {
        0 => Answer::part(request, &old, TAG).cut(6000),
        _ => Answer::part(request, &served, "\"two\""),
    })
    .await;
    Place::new().get(&new, &[server.url("/")]).await;
    assert_eq!((server.count(), server.seen()[1].first()), (2, Some(6000)));
}

#[tokio::test]
async fn a_server_that_mixes_versions_is_asked_for_the_whole() {
    let (old, new) = (bytes(10_000), bytes(10_000).into_iter().rev().collect::<Vec<u8>>());
    for told in [TAG, "\"two\""] {
        let (old, served) = (old.clone(), new.clone());
        let server = Server::start(move |count, request| match (count, request.first()) {
            (0, _) => Answer::part(request, &old, TAG).cut(6000),
            (_, Some(first)) => Answer::rest(first, &served).header("ETag", told),
            (_, None) => Answer::file(&served).header("ETag", told),
        })
        .await;
        let place = Place::new();
        place.get(&new, &[server.url("/")]).await;
        let firsts: Vec<Option<usize>> = server.seen().iter().map(server::Request::first).collect();
        assert_eq!(firsts, [None, Some(6000), None], "{told}");
    }
}

#[tokio::test]
async fn a_mixed_file_is_fetched_once_more_and_then_the_address_is_bad() {
    let body = bytes(10_000);
    let served = body.clone();
    let server = Server::start(move |count, request| {
        let answer = Answer::part(request, &served, TAG);
        if count == 0 { answer.cut(6000) } else { answer }
    })
    .await;
    let place = Place::new();
    let reason = place.reason(b"text", server.url("/")).await;
    assert!(matches!(reason, Reason::Mismatch(_)), "{reason:?}");
    assert_eq!(server.seen().iter().map(server::Request::first).collect::<Vec<_>>(), [None, Some(6000), None]);
    place.assert_empty();
}

#[tokio::test]
async fn another_part_than_the_one_asked_for_is_not_joined() {
    let body = bytes(10_000);
    let served = body.clone();
    let server = Server::start(move |count, request| match (count, request.first()) {
        (0, _) => Answer::part(request, &served, TAG).cut(6000),
        (_, Some(_)) => Answer::rest(5000, &served),
        (_, None) => Answer::file(&served),
    })
    .await;
    Place::with(|options| options.attempts = 2).get(&body, &[server.url("/")]).await;
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn a_range_beyond_the_end_means_that_everything_is_there() {
    let body = bytes(10_000);
    for (total, requests) in [("10000", 2), ("9999", 3)] {
        let served = body.clone();
        let server = Server::start(move |count, request| match (count, request.first()) {
            (0, _) => Answer::part(request, &served, TAG).length(Some(10_001)),
            (_, Some(_)) => Answer::new("416 No").header("Content-Range", &format!("bytes */{total}")),
            (_, None) => Answer::file(&served),
        })
        .await;
        Place::with(|options| options.attempts = 2).get(&body, &[server.url("/")]).await;
        assert_eq!(server.count(), requests);
    }
}

#[tokio::test]
async fn the_next_fetch_goes_on_with_what_is_there() {
    let body = bytes(10_000);
    let served = body.clone();
    let server = Server::start(move |count, request| {
        let answer = Answer::part(request, &served, TAG);
        if count == 0 { answer.cut(6000) } else { answer }
    })
    .await;
    let mut place = Place::with(|options| options.attempts = 1);
    let reason = place.reason(&body, server.url("/")).await;
    assert!(matches!(reason, Reason::Broken { done: 6000, .. }), "{reason:?}");
    assert_eq!(place.unfinished(&body), body[..6000]);
    place.fetcher = Place::new().fetcher;
    place.get(&body, &[server.url("/")]).await;
    assert_eq!(server.seen()[1].first(), Some(6000));
    place.assert_empty();
}

#[tokio::test]
async fn a_mirror_goes_on_with_what_is_there() {
    let body = bytes(10_000);
    let served = body.clone();
    let server = Server::start(move |_, request| {
        let answer = Answer::part(request, &served, TAG);
        if request.target == "/first" { answer.cut(3000) } else { answer }
    })
    .await;
    let place = Place::with(|options| options.attempts = 2);
    let file = place.get(&body, &[server.url("/first"), server.url("/mirror")]).await;
    assert_eq!(file.from(), server.url("/mirror"));
    assert_eq!(server.seen().iter().map(server::Request::first).collect::<Vec<_>>(), [None, Some(3000), Some(6000)]);
}

#[tokio::test]
async fn attempts_that_bring_much_do_not_count() {
    let body = bytes(9 << 20);
    let served = body.clone();
    let server = Server::start(move |_, request| Answer::part(request, &served, TAG).cut((1 << 20) + 1)).await;
    Place::with(|options| options.attempts = 1).get(&body, &[server.url("/")]).await;
    assert_eq!(server.count(), 9);
}

#[tokio::test]
async fn a_server_that_starts_over_each_time_does_not_get_on() {
    let body = bytes(3 << 20);
    let served = body.clone();
    let server = Server::start(move |_, _| Answer::file(&served).header("ETag", TAG).cut(2 << 20)).await;
    let place = Place::new();
    let reason = place.reason(&body, server.url("/")).await;
    assert!(matches!(reason, Reason::Broken { .. }), "{reason:?}");
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn rubbish_where_a_download_would_be_does_no_harm() {
    let server = Server::start(|_, request| Answer::part(request, b"text", TAG)).await;
    let whole = r#"{"version":null,"total":4}"#;
    let part = format!("{{\"version\":{:?},\"total\":4}}", TAG);
    for (there, notes) in
        [("te", "no JSON"), ("nono", whole), ("no", &part), ("", whole), ("longer", &part), ("te", "")]
    {
        let place = Place::new();
        let path = place.directory.path().join(format!("fetch-{}", blob_id(b"text")));
        std::fs::write(&path, there).unwrap();
        std::fs::write(path.with_extension("json"), notes).unwrap();
        place.get(b"text", &[server.url("/")]).await;
        place.assert_empty();
    }
}

#[tokio::test]
async fn a_download_that_is_whole_already_is_not_fetched_again() {
    let server = Server::start(|_, _| Answer::file(b"text")).await;
    let place = Place::new();
    let path = place.directory.path().join(format!("fetch-{}", blob_id(b"text")));
    std::fs::write(&path, "text").unwrap();
    std::fs::write(path.with_extension("json"), r#"{"version":null,"total":4}"#).unwrap();
    place.get(b"text", &[server.url("/")]).await;
    assert_eq!(server.count(), 0);
}
