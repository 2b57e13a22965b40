//! Proxies, which the environment of a process names.

use super::*;

const PROXIED: &str = "http://nowhere.invalid/file?a";

#[tokio::test]
async fn proxies_that_the_environment_names_are_used() {
    let proxy = Server::start(|_, _| Answer::file(b"text")).await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "source::fetch::tests::proxies::through_the_proxy", "--ignored"]);
    for name in ["HTTP_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        child.env_remove(name);
    }
    let ended = child.env("http_proxy", proxy.url("/")).output().await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    assert_eq!(proxy.seen().iter().map(|request| request.target.as_str()).collect::<Vec<_>>(), [PROXIED]);
}

#[tokio::test]
#[ignore = "its environment is made by the test above"]
async fn through_the_proxy() {
    let mut place = Place::new();
    place.fetcher = Fetcher::new(FetchOptions::default());
    place.get(b"text", &[PROXIED.to_owned()]).await;
    place.assert_empty();
}
