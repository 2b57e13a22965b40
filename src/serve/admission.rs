//! Who may call: whoever shows a token that is listed in a file.
//!
//! Without a file everybody may. With one, every call needs `authorization: Bearer TOKEN`, over every kind of
//! connection; for requests that are no gRPC calls the token may also be the password of `Basic`, which is all that
//! Nix can send (from a netrc file). Tokens are kept and compared as digests, which takes the same time whatever they have in common.

use std::borrow::Cow;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::Either;
use tonic::Status;
use tonic::codegen::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tower::{Layer, Service};

use super::http::is_grpc;
use crate::store::blocking;
use crate::transport::{Reloaded, SecurityError, lines};

/// The ways in which a request that is no gRPC call may show its token.
const CHALLENGES: [&str; 2] = ["Bearer realm=\"envserve\"", BASIC];
const BASIC: &str = "Basic realm=\"envserve\", charset=\"UTF-8\"";
/// Where images are served. Clients of registries take `Bearer` for the address of another server.
const REGISTRY: &str = "/v2/";

/// Admits calls to a server. Clones share the tokens.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    tokens: Option<Arc<Reloaded<Tokens>>>,
}

impl Admission {
    /// Reads the tokens. Without a file everybody is admitted. Blocks.
    pub(super) fn open(file: Option<PathBuf>) -> Result<Self, SecurityError> {
        let open = |file: PathBuf| Reloaded::open(vec![file.clone()], move || Tokens::read(&file));
        Ok(Self { tokens: file.map(open).transpose()?.map(Arc::new) })
    }

    /// Says why a call is refused, if it is.
    async fn refusal(&self, headers: &HeaderMap) -> Option<&'static str> {
        let tokens = self.tokens.as_ref()?;
        if tokens.is_due() {
            let tokens = Arc::clone(tokens);
            blocking(move || tokens.look()).await;
        }
        let token = bearer(headers).map(Cow::Borrowed);
        // gRPC clients send a header; those of the web may know no other way than a password.
        let token = token.or_else(|| password(headers).filter(|_| !is_grpc(headers)).map(Cow::Owned));
        match token {
            None => Some("a token is needed, as header `authorization: Bearer TOKEN`"),
            Some(token) if tokens.current().admit(&token) => None,
            Some(_) => Some("the token is not one that is accepted here"),
        }
    }
}

/// Returns the token that a call shows.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let header = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = header.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Returns the password that a request shows, whatever the name.
fn password(headers: &HeaderMap) -> Option<Vec<u8>> {
    let header = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, pair) = header.split_at_checked("Basic ".len())?;
    let pair = scheme.eq_ignore_ascii_case(b"Basic ").then(|| BASE64_STANDARD.decode(pair.trim_ascii()).ok())??;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// Returns how a request is refused that is no gRPC call.
fn unauthorized<B: Default>(path: &str) -> Response<B> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let challenges = if path.starts_with(REGISTRY) { &[BASIC][..] } else { &CHALLENGES };
    for challenge in challenges {
        response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

/// The digests of the tokens that are accepted.
struct Tokens(Vec<blake3::Hash>);

impl Tokens {
    fn read(path: &Path) -> Result<Self, SecurityError> {
        let bad = |line| SecurityError::Line { path: path.to_owned(), line, expected: "one token without spaces" };
        let token = |(number, line): (usize, String)| match line.contains(char::is_whitespace) {
            false => Ok(blake3::hash(line.as_bytes())),
            true => Err(bad(number)),
        };
        lines(path)?.into_iter().map(token).collect::<Result<_, _>>().map(Self)
    }

    fn admit(&self, token: &[u8]) -> bool {
        let token = blake3::hash(token);
        // All are compared, each in constant time: that is what equality of these digests does.
        self.0.iter().fold(false, |found, accepted| found | (*accepted == token))
    }
}

impl<S> Layer<S> for Admission {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Admitted<S> {
        Admitted { admission: self.clone(), inner }
    }
}

/// A service that is called only by those who may.
#[derive(Debug, Clone)]
pub(super) struct Admitted<S> {
    admission: Admission,
    inner: S,
}

impl<S, A, B> Service<Request<A>> for Admitted<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    A: Send + 'static,
    B: Default,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        if self.admission.tokens.is_none() {
            return Either::Left(self.inner.call(request));
        }
        let admission = self.admission.clone();
        // The one that is ready is used up by this call; the next has another.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Either::Right(Box::pin(async move {
            match admission.refusal(request.headers()).await {
                None => inner.call(request).await,
                Some(reason) if is_grpc(request.headers()) => Ok(Status::unauthenticated(reason).into_http()),
                Some(_) => Ok(unauthorized(request.uri().path())),
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(tokens: &str) -> Result<Admission, SecurityError> {
        let file = tempfile::NamedTempFile::new().expect("temporary");
        std::fs::write(file.path(), tokens).expect("temporary");
        Admission::open(Some(file.path().to_owned()))
    }

    async fn refusal(admission: &Admission, header: Option<&str>) -> &'static str {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().expect("a header"));
        }
        admission.refusal(&headers).await.unwrap_or_default()
    }

    #[tokio::test]
    async fn a_listed_token_admits() {
        let admission = admission("# ours\none\n\n  two  \n").expect("good");
        for good in ["Bearer one", "bearer two", "BEARER  two "] {
            assert_eq!(refusal(&admission, Some(good)).await, "", "{good}");
        }
        for bad in ["Bearer three", "Bearer on", "Bearer onee", "Bearer # ours", "Bearer "] {
            assert!(refusal(&admission, Some(bad)).await.contains("not one that is accepted"), "{bad}");
        }
        for none in [None, Some("one"), Some("Basic one"), Some("Bearerone"), Some("")] {
            assert!(refusal(&admission, none).await.contains("a token is needed"), "{none:?}");
        }
    }

    #[tokio::test]
    async fn a_token_may_be_the_password_of_a_request_that_is_no_grpc_call() {
        let admission = admission("one\nt:wo\n").expect("good");
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        for good in ["anyone:one", ":one", "x:t:wo"] {
            assert_eq!(refusal(&admission, Some(&basic(good))).await, "", "{good}");
        }
        for bad in ["one:", "one:two", "x:on"] {
            assert!(refusal(&admission, Some(&basic(bad))).await.contains("not one that is accepted"), "{bad}");
        }
        assert!(refusal(&admission, Some(&basic("one"))).await.contains("a token is needed"));
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, basic("x:one").parse().expect("a header"));
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        assert!(admission.refusal(&headers).await.is_some());
    }

    #[tokio::test]
    async fn a_request_that_is_no_grpc_call_is_refused_as_the_web_does() {
        let admission = admission("one\n").expect("good");
        let service = tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
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

    #[tokio::test]
    async fn an_empty_file_admits_nobody_and_none_everybody() {
        let empty = admission("\n# nobody\n").expect("good");
        assert!(!refusal(&empty, Some("Bearer ")).await.is_empty());
        let none = Admission::open(None).expect("nothing to read");
        assert_eq!(refusal(&none, None).await, "");
    }

    #[test]
    fn a_line_that_is_no_token_is_named_and_not_shown() {
        let error = admission("one\nmy secret\n").expect_err("two words").to_string();
        assert!(error.ends_with(":2: one token without spaces is expected"), "{error}");
    }
}
