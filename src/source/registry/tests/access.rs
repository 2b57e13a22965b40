//! Who may pull what, and who learns of whose credentials.

use serde_json::{Value, json};

use super::*;

const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";

fn user() -> Option<Value> {
    Some(json!({"username": "user", "password": "secret"}))
}

/// A registry that gives to those who show this, and challenges others.
async fn guarded(shelf: Shelf, wanted: &'static str, challenge: String) -> Server {
    Server::start(move |_, request| match request.header("authorization") {
        Some(shown) if shown == wanted => shelf.answer(request),
        _ => Answer::new("401 Unauthorized").header("WWW-Authenticate", &challenge),
    })
    .await
}

/// A giver of tokens, which wants to see this.
async fn tokens(wanted: Option<&'static str>) -> Server {
    Server::start(move |_, request| match request.header("authorization") == wanted {
        true => Answer::file(br#"{"token": "t1", "expires_in": 60}"#),
        false => Answer::new("401 Unauthorized"),
    })
    .await
}

#[tokio::test]
async fn name_and_password_are_shown_to_who_asks_for_them() {
    let (shelf, digest) = Shelf::of(&[bytes(1000)]);
    let server = guarded(shelf, BASIC, "Basic realm=\"x\"".into()).await;
    assert_eq!(Place::with(&server, user()).layers(digest).await, [bytes(1000)]);
    let shown: Vec<bool> = server.seen().iter().map(|request| request.header("authorization").is_some()).collect();
    assert_eq!(shown, [false, true, true, true]);
}

#[tokio::test]
async fn anybody_may_get_a_token() {
    let (shelf, digest) = Shelf::of(&[bytes(1000)]);
    let giver = tokens(None).await;
    let challenge = format!("Bearer realm=\"{}\",service=\"r s\"", giver.url("/token?a=b"));
    let server = guarded(shelf, "Bearer t1", challenge).await;
    assert_eq!(Place::of(&server).layers(digest).await, [bytes(1000)]);
    assert_eq!(giver.seen()[0].target, "/token?a=b&scope=repository%3Abase%3Apull&service=r+s");
    assert_eq!((giver.count(), server.count()), (1, 4));
}

#[tokio::test]
async fn name_and_password_are_shown_to_the_giver_of_tokens_alone() {
    let (shelf, digest) = Shelf::of(&[bytes(1000)]);
    let giver = tokens(Some(BASIC)).await;
    let challenge = format!("Bearer realm=\"{}\",scope=\"repository:x:pull\"", giver.url("/"));
    let server = guarded(shelf, "Bearer t1", challenge).await;
    assert_eq!(Place::with(&server, user()).layers(digest).await, [bytes(1000)]);
    assert_eq!(giver.seen()[0].target, "/?scope=repository%3Ax%3Apull");
    assert!(server.seen().iter().all(|request| request.header("authorization") != Some(BASIC)));
}

#[tokio::test]
async fn an_identity_is_exchanged_for_a_token() {
    let (shelf, digest) = Shelf::of(&[bytes(1000)]);
    let giver = Server::start(|_, request| match request.method.as_str() {
        "POST" => Answer::file(br#"{"access_token": "t1"}"#),
        _ => Answer::new("405 No"),
    })
    .await;
    let server = guarded(shelf, "Bearer t1", format!("Bearer realm=\"{}\",service=s", giver.url("/t"))).await;
    let place = Place::with(&server, Some(json!({"identitytoken": "i&d"})));
    assert_eq!(place.layers(digest).await, [bytes(1000)]);
    let body = &giver.seen()[0].body;
    assert_eq!(
        body,
        "scope=repository%3Abase%3Apull&service=s&grant_type=refresh_token&client_id=envserve&refresh_token=i%26d"
    );
}

#[tokio::test]
async fn a_token_that_came_to_its_end_is_renewed() {
    let layers: Vec<Vec<u8>> = (0..6).map(|number| bytes(1000 + number)).collect();
    let (shelf, digest) = Shelf::of(&layers);
    let giver = Server::start(|count, _| Answer::file(format!("{{\"token\": \"t{count}\"}}").as_bytes())).await;
    let challenge = format!("Bearer realm=\"{}\"", giver.url("/"));
    // The first token is good for the manifest, the second for the rest.
    let server = Server::start(move |_, request| {
        let wanted = if request.target.contains("manifests") { "Bearer t0" } else { "Bearer t1" };
        match request.header("authorization") {
            Some(shown) if shown == wanted => shelf.answer(request),
            _ => Answer::new("401 Unauthorized").header("WWW-Authenticate", &challenge),
        }
    })
    .await;
    assert_eq!(Place::of(&server).layers(digest).await, layers);
    assert_eq!(giver.count(), 2);
}

#[tokio::test]
async fn layers_see_a_token_come_to_its_end_together_and_renew_it_once() {
    let layers: Vec<Vec<u8>> = (0..6).map(|number| bytes(1000 + number)).collect();
    let (shelf, digest) = Shelf::of(&layers);
    let giver = Server::start(|count, _| Answer::file(format!("{{\"token\": \"t{count}\"}}").as_bytes())).await;
    let challenge = format!("Bearer realm=\"{}\"", giver.url("/"));
    let plain: Vec<String> = layers.iter().map(|layer| format!("/v2/base/blobs/{}", OciDigest::of(layer))).collect();
    let server = Server::start(move |_, request| {
        let wanted = if plain.contains(&request.target) { "Bearer t1" } else { "Bearer t0" };
        match request.header("authorization") {
            Some(shown) if shown == wanted => shelf.answer(request),
            _ => Answer::new("401 Unauthorized").header("WWW-Authenticate", &challenge),
        }
    })
    .await;
    assert_eq!(Place::of(&server).layers(digest).await, layers);
    assert_eq!(giver.count(), 2);
}

#[tokio::test]
async fn credentials_do_not_follow_to_another_server() {
    let (shelf, digest) = Shelf::of(&[bytes(1000)]);
    let behind = serving(shelf.clone()).await;
    let there = behind.url("");
    let server = Server::start(move |_, request| match request.header("authorization") {
        Some(BASIC) if request.target.contains("/blobs/") => Answer::redirect(&format!("{there}{}", request.target)),
        Some(BASIC) => shelf.answer(request),
        _ => Answer::new("401 Unauthorized").header("WWW-Authenticate", "Basic"),
    })
    .await;
    assert_eq!(Place::with(&server, user()).layers(digest).await, [bytes(1000)]);
    assert_eq!(behind.count(), 2);
    assert!(behind.seen().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn another_server_that_asks_for_credentials_gets_none() {
    let (shelf, digest) = Shelf::of(&[bytes(1000)]);
    let greedy = Server::start(|_, _| Answer::new("401 Unauthorized").header("WWW-Authenticate", "Basic")).await;
    for part in ["/manifests/", "/blobs/"] {
        let (shelf, there) = (shelf.clone(), greedy.url("/"));
        let server = Server::start(move |_, request| match request.target.contains(part) {
            true => Answer::redirect(&there),
            false => shelf.answer(request),
        })
        .await;
        let error = Place::with(&server, user()).error(digest).await;
        assert!(matches!(error, RegistryError::Failed { .. }), "{error:?}");
    }
    assert!(greedy.count() > 0);
    assert!(greedy.seen().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn a_token_is_not_fetched_in_plain_from_another_host() {
    for (realm, what) in [
        ("http://tokens.example/", "not encrypted"),
        ("file:///etc/passwd", "neither"),
        ("/token", "no address"),
        ("https://a:b@tokens.example/", "credentials"),
    ] {
        let server = guarded(Shelf::default(), "", format!("Bearer realm=\"{realm}\"")).await;
        let error = Place::with(&server, user()).error(OciDigest::of(b"x")).await;
        let RegistryError::Realm { what: told, .. } = &error else { panic!("{error:?}") };
        assert!(told.contains(what), "{error}");
        assert!(!error.to_string().contains("a:b"), "{error}");
    }
}

#[tokio::test]
async fn who_is_denied_learns_where_credentials_were_looked_for() {
    let server = guarded(Shelf::default(), "", "Basic".into()).await;
    for (entry, expected) in [(None, "no credentials for it in"), (user(), "it refuses the credentials in")] {
        let place = Place::with(&server, entry);
        let error = place.error(OciDigest::of(b"x")).await;
        let text = error.to_string();
        assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
        assert!(text.contains(expected) && text.contains(&place.auth_file().display().to_string()), "{text}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    // Once without, once with; what was refused is not shown again.
    assert_eq!(server.count(), 1 + 2);
}

#[tokio::test]
async fn a_giver_of_tokens_may_deny() {
    let giver = tokens(Some("nobody")).await;
    let server = guarded(Shelf::default(), "", format!("Bearer realm=\"{}\"", giver.url("/"))).await;
    let error = Place::with(&server, user()).error(OciDigest::of(b"x")).await;
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_no_token_is_not_shown() {
    let long = format!("{{\"token\": \"{}\"}}", "x".repeat(70_000));
    for answer in ["", "{}", r#"{"token": ""}"#, r#"{"token": 5}"#, "{\"token\": \"a\\nb: c\"}", &long] {
        let answer = answer.to_owned();
        let giver = Server::start(move |_, _| Answer::file(answer.as_bytes())).await;
        let server = guarded(Shelf::default(), "", format!("Bearer realm=\"{}\"", giver.url("/"))).await;
        let error = Place::of(&server).error(OciDigest::of(b"x")).await;
        assert!(matches!(error, RegistryError::Token { .. }), "{error:?}");
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn nobody_is_asked_whom_the_operator_has_not_allowed() {
    let (shelf, digest) = Shelf::of(&[]);
    let (allowed, other) = (serving(Shelf::default()).await, serving(shelf).await);
    let place = Place::of(&allowed);
    let reference: Reference = format!("127.0.0.1:{}/base@{digest}", other.port()).parse().unwrap();
    let error = place.registries.pull(&reference, &Platform::linux("amd64")).await.unwrap_err();
    assert!(error.to_string().contains(&format!("--fetch http://127.0.0.1:{}/", other.port())), "{error}");
    assert!(matches!(error, RegistryError::NotAllowed { .. }), "{error:?}");
    let nowhere: Reference = format!("base@{digest}").parse().unwrap();
    let error = place.registries.pull(&nowhere, &Platform::linux("amd64")).await.unwrap_err();
    assert!(matches!(error, RegistryError::NoRegistry { .. }), "{error:?}");
    assert_eq!((allowed.count(), other.count()), (0, 0));
}
