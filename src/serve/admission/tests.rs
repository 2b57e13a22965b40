//! Who is admitted, as what, and how the others are told.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tonic::codegen::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use tonic::codegen::http::{HeaderValue, StatusCode};

use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("temporary");
    std::fs::write(file.path(), text).expect("temporary");
    file
}

fn admission(tokens: &str) -> Result<Admission, SecurityError> {
    Admission::open(vec![(Role::Admin, file(tokens).path().to_owned())], None, None, false)
}

fn bearing(token: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse().expect("a header"))])
}

fn reason(recognized: Result<Rights, Refusal>) -> &'static str {
    match recognized {
        Ok(_) => "",
        Err(Refusal::Unknown(reason)) => reason,
        Err(Refusal::Role { .. }) => panic!("nobody asked what for"),
    }
}

fn refusal(admission: &Admission, header: Option<&str>) -> &'static str {
    let mut headers = HeaderMap::new();
    if let Some(header) = header {
        headers.insert(AUTHORIZATION, header.parse().expect("a header"));
    }
    reason(admission.recognize(&headers, &Caller::default()))
}

#[test]
fn a_listed_token_admits() {
    let admission = admission("# ours\none\n\n  two  \n").expect("good");
    for good in ["Bearer one", "bearer two", "BEARER  two "] {
        assert_eq!(refusal(&admission, Some(good)), "", "{good}");
    }
    for bad in ["Bearer three", "Bearer on", "Bearer onee", "Bearer # ours", "Bearer "] {
        assert!(refusal(&admission, Some(bad)).contains("not one that is accepted"), "{bad}");
    }
    for none in [None, Some("one"), Some("Basic one"), Some("Bearerone"), Some("")] {
        assert!(refusal(&admission, none).contains("a token is needed"), "{none:?}");
    }
}

#[test]
fn a_token_may_be_the_password_of_a_request_that_is_no_grpc_call() {
    let admission = admission("one\nt:wo\n").expect("good");
    let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
    for good in ["anyone:one", ":one", "x:t:wo"] {
        assert_eq!(refusal(&admission, Some(&basic(good))), "", "{good}");
    }
    for bad in ["one:", "one:two", "x:on"] {
        assert!(refusal(&admission, Some(&basic(bad))).contains("not one that is accepted"), "{bad}");
    }
    assert!(refusal(&admission, Some(&basic("one"))).contains("a token is needed"));
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, basic("x:one").parse().expect("a header"));
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    assert!(admission.recognize(&headers, &Caller::default()).is_err());
}

#[tokio::test]
async fn a_request_that_is_no_grpc_call_is_refused_as_the_web_does() {
    let admission = admission("one\n").expect("good");
    let service = tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    let refused = |kind: &'static str| {
        let request = Request::builder().header("content-type", kind).body(()).expect("a request");
        tower::ServiceExt::oneshot(admission.layer(service), request)
    };
    let answer = refused("text/plain").await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers().get_all(WWW_AUTHENTICATE).iter().count(), 2);
    let answer = refused("application/grpc").await.expect("infallible");
    assert_eq!((answer.status(), &answer.headers()["grpc-status"]), (StatusCode::OK, &HeaderValue::from(16)));
}

#[test]
fn an_empty_file_admits_nobody_and_none_everybody() {
    let empty = admission("\n# nobody\n").expect("good");
    assert!(!refusal(&empty, Some("Bearer ")).is_empty());
    let none = Admission::open(Vec::new(), Some(Role::Admin), None, false).expect("nothing to read");
    assert_eq!(refusal(&none, None), "");
}

#[test]
fn checkpoints_are_for_those_whom_the_operator_allows() {
    let [tokens, trusted] = ["common\n", "trusted\n"].map(file);
    let open = |tokens: &[&tempfile::NamedTempFile], trusted: Option<&tempfile::NamedTempFile>, all| {
        let anonymous = tokens.is_empty().then_some(Role::Admin);
        let tokens = tokens.iter().map(|file| (Role::Admin, file.path().to_owned())).collect();
        Admission::open(tokens, anonymous, trusted.map(|file| file.path().to_owned()), all).expect("good")
    };
    let may = |admission: &Admission, headers: &HeaderMap, local| {
        let recognized = admission.recognize(headers, &Caller { local, role: None });
        recognized.map(|rights| rights.checkpoints)
    };
    let nobody = HeaderMap::new();
    let plain = open(&[], None, false);
    assert_eq!((may(&plain, &nobody, false), may(&plain, &nobody, true)), (Ok(false), Ok(true)));
    assert_eq!(may(&open(&[], None, true), &nobody, false), Ok(true));
    let only_trusted = open(&[], Some(&trusted), false);
    assert_eq!(may(&only_trusted, &nobody, false), Ok(false));
    assert_eq!(may(&only_trusted, &bearing("common"), false), Ok(false));
    assert_eq!(may(&only_trusted, &bearing("trusted"), false), Ok(true));
    let both = open(&[&tokens], Some(&trusted), false);
    assert_eq!(may(&both, &bearing("common"), false), Ok(false));
    assert_eq!(may(&both, &bearing("common"), true), Ok(true));
    assert_eq!(may(&both, &bearing("trusted"), false), Ok(true));
    assert!(may(&both, &nobody, true).is_err() && may(&both, &bearing("other"), true).is_err());
}

#[test]
fn the_highest_role_counts_of_all_that_is_shown() {
    let files =
        [(Role::Reader, "r\nboth\nchosen\n"), (Role::Builder, "b\nboth\n")].map(|(role, text)| (role, file(text)));
    let trusted = file("chosen\nonly-trusted\n");
    let open = |anonymous| {
        let files = files.iter().map(|(role, file)| (*role, file.path().to_owned())).collect();
        Admission::open(files, anonymous, Some(trusted.path().to_owned()), false).expect("good")
    };
    let role = |admission: &Admission, token: Option<&str>, role| {
        let headers = token.map(bearing).unwrap_or_default();
        admission.recognize(&headers, &Caller { local: false, role }).map(|rights| rights.role).ok()
    };
    let (strict, lax) = (open(None), open(Some(Role::Uploader)));
    for (token, certificate, expected, with_anonymous) in [
        (None, None, None, Some(Role::Uploader)),
        (Some("r"), None, Some(Role::Reader), Some(Role::Uploader)),
        (Some("b"), None, Some(Role::Builder), Some(Role::Builder)),
        (Some("both"), None, Some(Role::Builder), Some(Role::Builder)),
        (None, Some(Role::Reader), Some(Role::Reader), Some(Role::Uploader)),
        (Some("r"), Some(Role::Admin), Some(Role::Admin), Some(Role::Admin)),
        (Some("b"), Some(Role::Reader), Some(Role::Builder), Some(Role::Builder)),
        // To have checkpoints raises nobody who is listed as something.
        (Some("chosen"), None, Some(Role::Reader), Some(Role::Uploader)),
        (Some("only-trusted"), None, Some(Role::Admin), Some(Role::Admin)),
        // What is shown must be good, whatever else there is.
        (Some("x"), None, None, None),
        (Some("x"), Some(Role::Admin), None, None),
    ] {
        assert_eq!(role(&strict, token, certificate), expected, "{token:?} {certificate:?}");
        assert_eq!(role(&lax, token, certificate), with_anonymous, "{token:?} {certificate:?}");
    }
}

#[tokio::test]
async fn a_role_that_is_too_low_is_told_in_the_terms_of_each_protocol() {
    let admission = Admission::open(Vec::new(), Some(Role::Reader), None, false).expect("nothing to read");
    let service = tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    let sent = async |method: &str, path: &str, kind: &'static str| {
        let request = Request::builder().method(method).uri(path).header("content-type", kind).body(());
        let answer = tower::ServiceExt::oneshot(admission.layer(service), request.expect("a request"));
        let answer = answer.await.expect("infallible");
        let status = answer.headers().get("grpc-status").map(|status| status.to_str().expect("text").to_owned());
        (answer.status(), status, answer.headers().get("content-type").cloned())
    };
    let kind = |kind: &'static str| Some(HeaderValue::from_static(kind));
    let grpc = "application/grpc";
    let execute = "/build.bazel.remote.execution.v2.Execution/Execute";
    assert_eq!(sent("POST", execute, grpc).await, (StatusCode::OK, Some("7".to_owned()), kind(grpc)));
    // What says that it is no gRPC call gets by no better.
    assert_eq!(sent("POST", execute, "text/plain").await.0, StatusCode::FORBIDDEN);
    assert_eq!(sent("PUT", "/v2/a/manifests/b", grpc).await.1, Some("7".to_owned()));
    assert_eq!(sent("PUT", "/v2/a/manifests/b", "x/y").await, (StatusCode::FORBIDDEN, None, kind("application/json")));
    assert_eq!(sent("PUT", "/nix/x.narinfo", "x/y").await.0, StatusCode::FORBIDDEN);
    assert_eq!(sent("GET", "/nix/x.narinfo", "x/y").await.0, StatusCode::OK);
    assert_eq!(sent("GET", "/unheard-of", "x/y").await.0, StatusCode::FORBIDDEN);
}

#[test]
fn a_line_that_is_no_token_is_named_and_not_shown() {
    let error = admission("one\nmy secret\n").expect_err("two words").to_string();
    assert!(error.ends_with(":2: one token without spaces is expected"), "{error}");
}
