//! Who may call, and what: by a token that is listed in a file, or by a certificate. And who may have checkpoints.
//!
//! Where neither tokens nor roles of certificates are given everybody may all. Else every call needs
//! `authorization: Bearer TOKEN`, over every kind of connection, or a certificate that gives a role; for requests that are
//! no gRPC calls the token may also be the password of `Basic`, which is all that Nix can send (from a netrc file). What
//! each role may is one table: `roles.rs`.

mod refusal;
#[cfg(test)]
mod tests;
mod tokens;

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::Either;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tower::{Layer, Service};

use super::http::is_grpc;
use super::listen::Peer;
use super::roles::{Role, least};
use crate::store::blocking;
use crate::transport::SecurityError;

use refusal::Refusal;
use tokens::TokenFile;

/// Admits calls to a server. Clones share the tokens.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    /// The tokens that give a role, the highest first.
    tokens: Arc<[(Role, TokenFile)]>,
    /// Those with which one may have checkpoints. They are those of admins where they give no role otherwise.
    checkpoint_tokens: Option<TokenFile>,
    checkpoints_for_all: bool,
    /// What those may who show nothing.
    anonymous: Option<Role>,
}

/// What whoever makes a request may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    /// What may be done.
    pub(crate) role: Role,
    /// Checkpoints, which hold what was in the memory of services.
    pub(crate) checkpoints: bool,
}

impl Rights {
    /// Those of this process itself.
    pub(crate) const ALL: Self = Self { role: Role::Admin, checkpoints: true };
    /// Those of somebody of whom nothing is known.
    const LEAST: Self = Self { role: Role::Reader, checkpoints: false };

    /// Returns those of a request that was admitted.
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Self {
        Self::among(request.extensions().get())
    }

    /// Returns those of a request that was admitted and is no gRPC call.
    pub(crate) fn among(found: Option<&Self>) -> Self {
        found.copied().unwrap_or(Self::LEAST)
    }

    /// Says whether environments are built for whoever has these.
    pub(crate) fn builds(self) -> bool {
        self.role >= Role::Builder
    }

    /// Says whether sources may be given, and fetched for whoever has these.
    pub(crate) fn gives_sources(self) -> bool {
        self.role >= Role::Uploader
    }

    /// Returns the same without checkpoints.
    pub(crate) fn without_checkpoints(self) -> Self {
        Self { checkpoints: false, ..self }
    }
}

impl Admission {
    /// Reads the tokens. Blocks.
    pub(super) fn open(
        token_files: Vec<(Role, PathBuf)>,
        anonymous: Option<Role>,
        checkpoint_tokens: Option<PathBuf>,
        checkpoints_for_all: bool,
    ) -> Result<Self, SecurityError> {
        let open = |(role, file)| Ok((role, tokens::open(file)?));
        let mut tokens = token_files.into_iter().map(open).collect::<Result<Vec<_>, SecurityError>>()?;
        tokens.sort_by_key(|(role, _)| std::cmp::Reverse(*role));
        let checkpoint_tokens = checkpoint_tokens.map(tokens::open).transpose()?;
        Ok(Self { tokens: tokens.into(), checkpoint_tokens, checkpoints_for_all, anonymous })
    }

    /// Returns the files at which it is time to look.
    fn due(&self) -> Vec<TokenFile> {
        let all = self.tokens.iter().map(|(_, tokens)| tokens).chain(&self.checkpoint_tokens);
        all.filter(|tokens| tokens.is_due()).cloned().collect()
    }

    /// Returns what whoever calls may have, or why that is not known.
    fn recognize(&self, headers: &HeaderMap, peer: &Caller) -> Result<Rights, Refusal> {
        let token = tokens::shown(headers).map(|token| blake3::hash(&token));
        let listed = |tokens: &TokenFile| token.as_ref().is_some_and(|token| tokens.current().lists(token));
        let trusted = self.checkpoint_tokens.as_ref().is_some_and(listed);
        let by_token = self.tokens.iter().find(|(_, tokens)| listed(tokens)).map(|(role, _)| *role);
        let by_token = by_token.or(trusted.then_some(Role::Admin));
        if token.is_some() && by_token.is_none() && !self.tokens.is_empty() {
            return Err(Refusal::Unknown("the token is not one that is accepted here"));
        }
        let role = by_token.max(peer.role).max(self.anonymous).ok_or(Refusal::Unknown(self.wanted()))?;
        Ok(Rights { role, checkpoints: trusted || peer.local || self.checkpoints_for_all })
    }

    /// Says what has to be shown.
    fn wanted(&self) -> &'static str {
        if self.tokens.is_empty() && self.checkpoint_tokens.is_none() {
            "a certificate is needed that gives a role here"
        } else {
            "a token is needed, as header `authorization: Bearer TOKEN`"
        }
    }

    /// Admits a request, or says why not.
    fn admit<A>(&self, request: &mut Request<A>) -> Result<(), Refusal> {
        let peer = request.extensions().get::<Peer>().map(Caller::of).unwrap_or_default();
        let rights = self.recognize(request.headers(), &peer)?;
        let least = least(request.method().as_str(), request.uri().path());
        if rights.role < least {
            return Err(Refusal::Role { held: rights.role, least });
        }
        request.extensions_mut().insert(rights);
        Ok(())
    }
}

/// What a connection tells of the one who calls.
#[derive(Debug, Clone, Copy, Default)]
struct Caller {
    /// Whether it is a Unix socket.
    local: bool,
    /// What the certificate gives.
    role: Option<Role>,
}

impl Caller {
    fn of(peer: &Peer) -> Self {
        Self { local: peer.local, role: peer.role }
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

impl<S, A> Service<Request<A>> for Admitted<S>
where
    S: Service<Request<A>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    A: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let due = self.admission.due();
        if due.is_empty() {
            return match self.admission.admit(&mut request) {
                Ok(()) => Either::Left(self.inner.call(request)),
                Err(refusal) => Either::Right(Box::pin(std::future::ready(Ok(refused(refusal, &request))))),
            };
        }
        let admission = self.admission.clone();
        // The one that is ready is used up by this call; the next has another.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Either::Right(Box::pin(async move {
            blocking(move || due.iter().for_each(|tokens| tokens.look())).await;
            match admission.admit(&mut request) {
                Ok(()) => inner.call(request).await,
                Err(refusal) => Ok(refused(refusal, &request)),
            }
        }))
    }
}

fn refused<A>(refusal: Refusal, request: &Request<A>) -> Response<Body> {
    match is_grpc(request.headers()) {
        true => refusal.into_grpc(),
        false => refusal.into_http(request.uri().path()),
    }
}
