//! Who may call: whoever shows a token that is listed in a file. And who may have checkpoints.
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
use super::listen::Peer;
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
    tokens: Option<TokenFile>,
    /// Those with which one may have checkpoints. They admit as well.
    checkpoint_tokens: Option<TokenFile>,
    checkpoints_for_all: bool,
}

type TokenFile = Arc<Reloaded<Tokens>>;

/// What whoever makes a request may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    /// Checkpoints, which hold what was in the memory of services.
    pub(crate) checkpoints: bool,
}

impl Rights {
    /// Those of this process itself.
    pub(crate) const ALL: Self = Self { checkpoints: true };
    /// Those of everybody who is admitted.
    pub(crate) const COMMON: Self = Self { checkpoints: false };

    /// Returns those of a request that was admitted.
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get().copied().unwrap_or(Self::COMMON)
    }
}

impl Admission {
    /// Reads the tokens. Without a file of them everybody is admitted. Blocks.
    pub(super) fn open(
        tokens: Option<PathBuf>,
        checkpoint_tokens: Option<PathBuf>,
        checkpoints_for_all: bool,
    ) -> Result<Self, SecurityError> {
        let open = |file: PathBuf| Reloaded::open(vec![file.clone()], move || Tokens::read(&file)).map(Arc::new);
        let (tokens, checkpoint_tokens) = (tokens.map(open).transpose()?, checkpoint_tokens.map(open).transpose()?);
        Ok(Self { tokens, checkpoint_tokens, checkpoints_for_all })
    }

    /// Returns what those may have who show no token and are not turned away for that.
    fn common(&self, local: bool) -> Rights {
        Rights { checkpoints: local || self.checkpoints_for_all }
    }

    /// Returns what a call may have, or why it is refused. `local` are those that come through a Unix socket.
    async fn admit(&self, headers: &HeaderMap, local: bool) -> Result<Rights, &'static str> {
        for tokens in [&self.tokens, &self.checkpoint_tokens].into_iter().flatten().filter(|tokens| tokens.is_due()) {
            let tokens = Arc::clone(tokens);
            blocking(move || tokens.look()).await;
        }
        let token = bearer(headers).map(Cow::Borrowed);
        // gRPC clients send a header; those of the web may know no other way than a password.
        let token = token.or_else(|| password(headers).filter(|_| !is_grpc(headers)).map(Cow::Owned));
        let is_of = |tokens: &TokenFile| token.as_ref().is_some_and(|token| tokens.current().admit(token));
        if self.checkpoint_tokens.as_ref().is_some_and(is_of) {
            return Ok(Rights::ALL);
        }
        match &self.tokens {
            Some(tokens) if !is_of(tokens) && token.is_some() => Err("the token is not one that is accepted here"),
            Some(tokens) if !is_of(tokens) => Err("a token is needed, as header `authorization: Bearer TOKEN`"),
            _ => Ok(self.common(local)),
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

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let local = request.extensions().get::<Peer>().is_some_and(|peer| peer.local);
        if self.admission.tokens.is_none() && self.admission.checkpoint_tokens.is_none() {
            request.extensions_mut().insert(self.admission.common(local));
            return Either::Left(self.inner.call(request));
        }
        let admission = self.admission.clone();
        // The one that is ready is used up by this call; the next has another.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Either::Right(Box::pin(async move {
            match admission.admit(request.headers(), local).await {
                Ok(rights) => {
                    request.extensions_mut().insert(rights);
                    inner.call(request).await
                }
                Err(reason) if is_grpc(request.headers()) => Ok(Status::unauthenticated(reason).into_http()),
                Err(_) => Ok(unauthorized(request.uri().path())),
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
        Admission::open(Some(file.path().to_owned()), None, false)
    }

    async fn refusal(admission: &Admission, header: Option<&str>) -> &'static str {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().expect("a header"));
        }
        admission.admit(&headers, false).await.err().unwrap_or_default()
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
        assert!(admission.admit(&headers, false).await.is_err());
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
        let none = Admission::open(None, None, false).expect("nothing to read");
        assert_eq!(refusal(&none, None).await, "");
    }

    #[tokio::test]
    async fn checkpoints_are_for_those_whom_the_operator_allows() {
        let [tokens, trusted] = ["common\n", "trusted\n"].map(|text| {
            let file = tempfile::NamedTempFile::new().expect("temporary");
            std::fs::write(file.path(), text).expect("temporary");
            file
        });
        let [tokens, trusted] = [&tokens, &trusted].map(|file| Some(file.path().to_owned()));
        let open = |tokens, trusted, all| Admission::open(tokens, trusted, all).expect("good");
        let token =
            |token: &str| HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse().expect("a header"))]);
        let may = async |admission: &Admission, headers: &HeaderMap, local| {
            admission.admit(headers, local).await.map(|rights| rights.checkpoints)
        };
        let nobody = HeaderMap::new();
        let plain = open(None, None, false);
        assert_eq!((may(&plain, &nobody, false).await, may(&plain, &nobody, true).await), (Ok(false), Ok(true)));
        assert_eq!(may(&open(None, None, true), &nobody, false).await, Ok(true));
        let only_trusted = open(None, trusted.clone(), false);
        assert_eq!(may(&only_trusted, &nobody, false).await, Ok(false));
        assert_eq!(may(&only_trusted, &token("common"), false).await, Ok(false));
        assert_eq!(may(&only_trusted, &token("trusted"), false).await, Ok(true));
        let both = open(tokens, trusted, false);
        assert_eq!(may(&both, &token("common"), false).await, Ok(false));
        assert_eq!(may(&both, &token("common"), true).await, Ok(true));
        assert_eq!(may(&both, &token("trusted"), false).await, Ok(true));
        assert!(may(&both, &nobody, true).await.is_err() && may(&both, &token("other"), true).await.is_err());
    }

    #[test]
    fn a_line_that_is_no_token_is_named_and_not_shown() {
        let error = admission("one\nmy secret\n").expect_err("two words").to_string();
        assert!(error.ends_with(":2: one token without spaces is expected"), "{error}");
    }
}
