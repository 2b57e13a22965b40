//! Redirects: those that are followed, and those that are not.

use super::*;

#[tokio::test]
async fn redirects_are_followed_to_other_servers() {
    let target = Server::start(|_, _| Answer::file(b"text")).await;
    let there = target.url("/there");
    let server = Server::start(move |count, _| Answer::redirect(if count == 0 { "/next?a" } else { &there })).await;
    let place = Place::new();
    let file = place.get(b"text", &[server.url("/")]).await;
    assert_eq!(file.from(), server.url("/"));
    assert_eq!((server.seen()[1].target.as_str(), target.seen()[0].target.as_str()), ("/next?a", "/there"));
}

#[tokio::test]
async fn ten_redirects_are_followed_and_no_more() {
    let server = Server::start(|_, request| match request.target[1..].parse::<usize>().unwrap() {
        0 => Answer::file(b"text"),
        left => Answer::redirect(&format!("/{}", left - 1)),
    })
    .await;
    let place = Place::new();
    place.get(b"text", &[server.url("/10")]).await;
    let before = server.count();
    let reason = place.reason(b"text", server.url("/11")).await;
    let Reason::TooManyRedirects { limit: 10, from, to } = reason else { panic!("{reason:?}") };
    assert_eq!((from, to), (server.url("/1"), server.url("/0")));
    assert_eq!(server.count() - before, 11);
    place.assert_empty();
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let server = Server::start(|_, request| Answer::redirect(if request.target == "/a" { "/b" } else { "/a" })).await;
    let place = Place::new();
    let reason = place.reason(b"text", server.url("/a")).await;
    assert!(matches!(reason, Reason::TooManyRedirects { .. }), "{reason:?}");
    assert_eq!(server.count(), 11);
    place.assert_empty();
}

#[tokio::test]
async fn a_redirect_to_a_file_of_the_host_is_refused() {
    let place = Place::new();
    let path = place.directory.path().join("file");
    std::fs::write(&path, "text").unwrap();
    for to in [format!("file://{}", path.display()), "ftp://user:word@a/b".to_owned(), "data:,text".to_owned()] {
        let target = to.clone();
        let server = Server::start(move |_, _| Answer::redirect(&target)).await;
        let reason = place.reason(b"text", server.url("/a")).await;
        let Reason::RedirectScheme { from, to: shown } = reason else { panic!("{reason:?}") };
        assert_eq!((from, shown, server.count()), (server.url("/a"), to.replace("user:word@", ""), 1));
    }
    assert_eq!(place.left(), ["file"]);
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_refused() {
    let server = Server::start(|count, _| match count {
        0 => Answer::new("302 Found"),
        _ => Answer::redirect("http://a:b:c/"),
    })
    .await;
    let place = Place::new();
    for _ in 0..2 {
        let reason = place.reason(b"text", server.url("/")).await;
        assert!(matches!(reason, Reason::RedirectNowhere { .. }), "{reason:?}");
    }
    assert_eq!(server.count(), 2);
    place.assert_empty();
}

#[tokio::test]
async fn credentials_follow_to_the_same_server_only() {
    let other = Server::start(|_, _| Answer::file(b"text")).await;
    let there = other.url("/");
    let server = Server::start(move |count, _| Answer::redirect(if count == 0 { "/same" } else { &there })).await;
    let place = Place::new();
    place.get(b"text", &[server.url("/").replace("http://", "http://user:word@")]).await;
    let sent = server.seen().iter().map(|request| request.header("authorization").is_some()).collect::<Vec<_>>();
    assert_eq!((sent, other.seen()[0].header("authorization")), (vec![true, true], None));
    assert_eq!(other.seen()[0].header("referer"), None);
}
