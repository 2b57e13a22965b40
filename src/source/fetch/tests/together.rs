//! Several fetches at once, and fetches that are given up.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;

const TAG: &str = "\"one\"";

#[tokio::test]
async fn two_fetches_of_one_file_follow_one_another() {
    let body = bytes(10_000);
    let served = body.clone();
    let server = Server::start(move |_, request| Answer::part(request, &served, TAG)).await;
    let place = Place::new();
    let addresses = [server.url("/")];
    let first = place.get(&body, &addresses).await;
    let mut second = Box::pin(place.get(&body, &addresses));
    let waits = tokio::time::timeout(Duration::from_millis(150), &mut second).await.is_err();
    assert!(waits && server.count() == 1, "both have the file");
    drop(first);
    second.await;
    assert_eq!((server.count(), server.seen()[1].first()), (2, None));
    place.assert_empty();
}

#[tokio::test]
async fn other_processes_are_waited_for() {
    let server = Server::start(|_, _| Answer::file(b"text")).await;
    let place = Place::new();
    let path = place.directory.path().join(format!("fetch-{}", blob_id(b"text")));
    let script = "exec 9>\"$1\" && flock 9 && echo locked && read -r end";
    let mut other = Command::new("sh");
    other.args(["-c", script, "sh"]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut other = other.spawn().unwrap();
    let mut line = [0; 7];
    std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut line).unwrap();
    let addresses = [server.url("/")];
    let mut fetched = Box::pin(place.get(b"text", &addresses));
    assert!(tokio::time::timeout(Duration::from_millis(150), &mut fetched).await.is_err() && server.count() == 0);
    drop(other.stdin.take());
    other.wait().unwrap();
    fetched.await;
    place.assert_empty();
}

#[tokio::test]
async fn a_fetch_that_is_given_up_is_gone_on_with() {
    let body = bytes(3 << 20);
    let served = body.clone();
    let server = Server::start(move |count, request| {
        let answer = Answer::part(request, &served, TAG);
        if count == 0 { answer.stall((2 << 20) + 5) } else { answer }
    })
    .await;
    let place = Place::with(|options| options.stall_timeout = Duration::from_secs(30));
    let wanted = wanted(&body, &[server.url("/")]);
    let written = Written::default();
    tokio::select! {
        _ = place.fetcher.fetch(&wanted, place.directory.path(), &written) => panic!("the server is silent"),
        () = written.0.notified() => {}
    }
    let there = place.unfinished(&body).len();
    assert!(there >= 1 << 20);
    place.get(&body, &[server.url("/")]).await;
    let first = server.seen()[1].first().unwrap();
    assert!((1 << 20..=(2 << 20) + 5).contains(&first), "{first}");
    place.assert_empty();
}

#[tokio::test]
async fn a_fetch_that_is_given_up_leaves_nothing_that_cannot_be_gone_on_with() {
    let body = bytes(3 << 20);
    let served = body.clone();
    let server = Server::start(move |_, _| Answer::file(&served).stall((2 << 20) + 5)).await;
    let place = Place::with(|options| options.stall_timeout = Duration::from_secs(30));
    let wanted = wanted(&body, &[server.url("/")]);
    let written = Written::default();
    tokio::select! {
        _ = place.fetcher.fetch(&wanted, place.directory.path(), &written) => panic!("the server is silent"),
        () = written.0.notified() => {}
    }
    place.assert_empty();
}

#[tokio::test]
async fn no_more_transfers_run_at_once_than_may() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&running);
    let highest = Arc::clone(&most);
    let server = Server::start(move |_, request| {
        highest.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Answer::file(request.target.as_bytes())
    })
    .await;
    let place = Place::with(|options| options.at_once = 2);
    let ended = Ended(running);
    let fetches = (0..8).map(|number| {
        let (place, ended, target) = (&place, &ended, format!("/{number}"));
        let wanted = wanted(target.as_bytes(), &[server.url(&target)]);
        async move { place.fetcher.clone().fetch(&wanted, place.directory.path(), ended).await.unwrap() }
    });
    assert_eq!(futures::future::join_all(fetches).await.len(), 8);
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
}

/// Tells when a first piece has been written.
#[derive(Default)]
struct Written(Notify);

impl FetchProgress for Written {
    fn begun(&self, _address: &str, _total: Option<u64>) {}

    fn advanced(&self, _done: u64) {
        self.0.notify_one();
    }
}

/// Counts a transfer as ended when its last byte is there.
struct Ended(Arc<AtomicUsize>);

impl FetchProgress for Ended {
    fn begun(&self, _address: &str, _total: Option<u64>) {}

    fn advanced(&self, _done: u64) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
