//! Which addresses are taken, in which order, and what is shown of them.

use super::*;

#[tokio::test]
async fn a_file_comes_from_a_server_and_goes_when_it_is_dropped() {
    let body = bytes(3 << 20);
    let served = body.clone();
    let server = Server::start(move |_, _| Answer::file(&served)).await;
    let (place, told) = (Place::new(), Told::default());
    let wanted = wanted(&body, &[server.url("/a.tar.gz?b=c")]);
    let file = place.fetcher.fetch(&wanted, place.directory.path(), &told).await.unwrap();
    assert!(std::fs::read(file.path()).unwrap() == body);
    assert_eq!((file.size(), file.from(), file.is_local()), (3 << 20, server.url("/a.tar.gz?b=c").as_str(), false));
    let request = server.seen().remove(0);
    assert_eq!(request.target, "/a.tar.gz?b=c");
    assert_eq!(request.header("user-agent"), Some(concat!("envserve/", env!("CARGO_PKG_VERSION"))));
    assert_eq!((request.header("accept-encoding"), request.header("range")), (Some("identity"), None));
    let told = told.0.into_inner().unwrap();
    assert_eq!(told[0], format!("{} Some({})", server.url("/a.tar.gz?b=c"), 3 << 20));
    assert_eq!(told.last().unwrap(), &(3 << 20).to_string());
    drop(file);
    place.assert_empty();
}

#[tokio::test]
async fn a_download_that_is_taken_stays_and_a_file_of_the_host_is_copied() {
    let server = Server::start(|_, _| Answer::file(b"text")).await;
    let place = Place::new();
    let target = place.directory.path().join("kept");
    place.get(b"text", &[server.url("/")]).await.take(&target).unwrap();
    assert_eq!((place.left(), std::fs::read(&target).unwrap()), (vec!["kept".to_owned()], b"text".to_vec()));
    let copy = place.directory.path().join("copy");
    place.get(b"text", &[target.display().to_string()]).await.take(&copy).unwrap();
    assert_eq!((place.left().len(), std::fs::read(copy).unwrap()), (2, b"text".to_vec()));
}

#[tokio::test]
async fn an_empty_file_and_one_of_unknown_size_are_fetched() {
    let server = Server::start(|_, request| match request.target.as_str() {
        "/empty" => Answer::file(b""),
        _ => Answer::file(b"text").length(None),
    })
    .await;
    let place = Place::new();
    place.get(b"", &[server.url("/empty")]).await;
    place.get(b"text", &[server.url("/text")]).await;
    place.assert_empty();
}

#[tokio::test]
async fn a_file_of_the_host_is_used_where_it_lies() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("a b");
    std::fs::write(&path, "text").unwrap();
    let address = format!("file://{}", path.display()).replace(' ', "%20");
    for address in [path.display().to_string(), address] {
        let file = place.get(b"text", std::slice::from_ref(&address)).await;
        assert_eq!((file.path(), file.from(), file.is_local()), (path.as_path(), address.as_str(), true));
        place.assert_empty();
    }
    assert!(path.exists());
}

#[tokio::test]
async fn files_of_the_host_that_are_none_or_others_are_refused() {
    let place = Place::with(|options| options.max_bytes = 10);
    let here = tempfile::tempdir().unwrap();
    let path = |name: &str| here.path().join(name).display().to_string();
    std::fs::write(path("other"), "other").unwrap();
    std::fs::write(path("large"), [0; 11]).unwrap();
    let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
    assert!(made.success());
    let addresses = ["other", "large", "pipe", "", "absent"].map(path);
    let reasons = place.reasons(b"text", &addresses).await;
    let [other, large, pipe, directory, absent] = &reasons[..] else { panic!("{reasons:?}") };
    assert!(matches!(other, Reason::Mismatch(Mismatch::Checksum { function: CheckedFunction::GitBlob, .. })));
    assert!(matches!(large, Reason::TooLarge { limit: 10 }));
    assert!(matches!((pipe, directory), (Reason::NoFile, Reason::NoFile)));
    assert!(matches!(absent, Reason::Read { .. }));
    place.assert_empty();
}

#[tokio::test]
async fn addresses_are_tried_in_order_until_one_gives_the_file() {
    let server = Server::start(|_, request| match request.target.as_str() {
        "/gone" => Answer::new("404 Not Found"),
        "/page" => Answer::file(b"<html>not here</html>"),
        _ => Answer::file(b"text"),
    })
    .await;
    let place = Place::new();
    let addresses = ["/gone", "/page", "/good", "/never"].map(|path| server.url(path));
    assert_eq!(place.get(b"text", &addresses).await.from(), server.url("/good"));
    let targets: Vec<String> = server.seen().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/gone", "/page", "/good"]);
}

#[tokio::test]
async fn what_went_wrong_is_told_for_each_address() {
    let server = Server::start(|_, request| match request.target.as_str() {
        "/gone" => Answer::new("404 Not Found"),
        _ => Answer::file(b"other"),
    })
    .await;
    let place = Place::new();
    let addresses = ["ftp://a/b".to_owned(), "a/b".to_owned(), server.url("/gone"), server.url("/other")];
    let text = place.fetch(b"text", &addresses).await.err().unwrap().to_string();
    let kinds = "it is of no kind that is taken: `http://`, `https://`, `file://` and absolute paths are";
    let (expected, actual) = (blob_id(b"text"), blob_id(b"other"));
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            format!("cannot fetch the file with Git blob id `{expected}`"),
            format!("  `ftp://a/b`: {kinds}"),
            format!("  `a/b`: {kinds}"),
            format!("  `{}`: it answers 404 Not Found", server.url("/gone")),
            format!("  `{}`: its Git blob id is `{actual}`, not `{expected}`", server.url("/other")),
        ]
    );
    place.assert_empty();
    let nowhere = place.fetch(b"text", &[]).await.err().unwrap();
    assert_eq!(
        nowhere.to_string(),
        format!("cannot fetch the file with Git blob id `{expected}`: no address is given")
    );
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let server = Server::start(|_, request| match request.header("authorization") {
        Some("Basic dXNlcjp3OnJk") if request.target == "/good" => Answer::file(b"text"),
        _ => Answer::redirect("ftp://user:w%3Ard@a/b"),
    })
    .await;
    let place = Place::new();
    let secret = |path| server.url(path).replace("http://", "http://user:w%3Ard@");
    let (good, told) = (wanted(b"text", &[secret("/good")]), Told::default());
    let file = place.fetcher.fetch(&good, place.directory.path(), &told).await.unwrap();
    assert_eq!(file.from(), server.url("/good"));
    drop(file);
    let told = told.0.into_inner().unwrap().concat();
    let closed = format!("http://user:w%3Ard@127.0.0.1:{}/", unused_port().await);
    let addresses = [secret("/bad"), closed, "https://user:w%3Ard@a:b/".to_owned(), "ftp://user:w%3Ard@a/".to_owned()];
    let error = place.fetch(b"text", &addresses).await.err().unwrap();
    let text = format!("{error} {error:?} {told}");
    assert!(text.contains("/bad") && text.contains(&format!("127.0.0.1:{}", server.port())), "{text}");
    assert!(!text.contains("w%3Ard") && !text.contains("w:rd") && !text.contains("user"), "{text}");
    place.assert_empty();
}

#[test]
fn a_file_is_checked_by_every_function_that_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "abc").unwrap();
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let sha512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                  2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    let wanted = |sha256, sha512| Wanted { sha256, sha512, ..wanted(b"abc", &[]) };
    assert_eq!(check_file(&path, &wanted(Some(sha256), Some(sha512))).unwrap(), 3);
    let zeros = "0".repeat(128);
    let refused = |wanted: &Wanted<'_>| match check_file(&path, wanted) {
        Err(FetchError::Refused { source: Reason::Mismatch(mismatch), .. }) => mismatch,
        other => panic!("{other:?}"),
    };
    let differs = |function, expected: &str, actual: &str| Mismatch::Checksum {
        function,
        expected: expected.to_owned(),
        actual: actual.to_owned(),
    };
    let of_256 = refused(&wanted(Some(&zeros[..64]), Some(sha512)));
    assert_eq!(of_256, differs(CheckedFunction::Sha256, &zeros[..64], sha256));
    let of_512 = refused(&wanted(Some(sha256), Some(&zeros)));
    assert_eq!(of_512, differs(CheckedFunction::Sha512, &zeros, sha512));
}

/// Returns a port that nobody listens on.
pub(super) async fn unused_port() -> u16 {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}
