//! One span and one line in the log for each request, with what the client tells about itself.
//!
//! REAPI clients may send a `RequestMetadata`: which tool, for which build, for which action. It goes into the span,
//! so that every line logged on the way says for whom. What is no such message is ignored, what is long is cut.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use prost::Message;
use tonic::Code;
use tonic::codegen::http::{HeaderMap, Request, Response, StatusCode};
use tonic::metadata::MetadataMap;
use tower::{Layer, Service};
use tracing::{Instrument, Span, field};

use super::http::is_grpc;
use crate::proto::reapi::RequestMetadata;

/// The header that holds the metadata.
pub(super) const METADATA: &str = "build.bazel.remote.execution.v2.requestmetadata-bin";
/// Longest header that is looked at.
const MAX_HEADER: usize = 8 << 10;
/// Longest text that goes into the log, in characters.
const MAX_TEXT: usize = 100;

/// Logs the requests of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestLog;

impl<S> Layer<S> for RequestLog {
    type Service = Logged<S>;

    fn layer(&self, inner: S) -> Logged<S> {
        Logged { inner }
    }
}

/// A service whose requests are logged.
#[derive(Debug, Clone)]
pub(super) struct Logged<S> {
    inner: S,
}

impl<S, A, B> Service<Request<A>> for Logged<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<LoggedBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let span = span(request.uri().path(), request.headers());
        let mut line = Line { span: span.clone(), begun: Instant::now(), outcome: None };
        let answer = span.in_scope(|| self.inner.call(request));
        let answer = async move {
            let answer = answer.await?;
            match is_grpc(answer.headers()) {
                true => line.note(answer.headers()),
                false => line.outcome = Some(Outcome::Http(answer.status())),
            }
            Ok(answer.map(|body| LoggedBody { body, line }))
        };
        Box::pin(answer.instrument(span))
    }
}

/// Returns what of a path names the call.
fn rpc(path: &str) -> &str {
    // `/package.Service/Method`: the package says nothing new. Other paths have no dot before their last part.
    let dot = path.rsplit_once('/').and_then(|(service, _)| service.rfind('.'));
    dot.map_or(path, |dot| &path[dot + 1..])
}

/// Returns the span of a request.
fn span(path: &str, headers: &HeaderMap) -> Span {
    let empty = field::Empty;
    let span = tracing::info_span!(
        "request",
        rpc = cut(rpc(path)),
        instance = empty,
        tool = empty,
        invocation = empty,
        action = empty,
        target = empty
    );
    if let Some(metadata) = metadata(headers).filter(|_| !span.is_disabled()) {
        let tool = metadata.tool_details.map(|tool| format!("{} {}", cut(&tool.tool_name), cut(&tool.tool_version)));
        let texts = [
            ("tool", tool.as_deref().unwrap_or_default()),
            ("invocation", &metadata.tool_invocation_id),
            ("action", &metadata.action_id),
            ("target", &metadata.target_id),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            // The debug form has no control characters that would fake a line.
            span.record(name, field::debug(cut(text)));
        }
    }
    span
}

/// Returns what a client tells about itself, if that can be read.
pub(super) fn metadata(headers: &HeaderMap) -> Option<RequestMetadata> {
    let header = headers.get(METADATA).filter(|header| header.len() <= MAX_HEADER)?;
    let mut one = HeaderMap::with_capacity(1);
    one.insert(METADATA, header.clone());
    let bytes = MetadataMap::from_headers(one).get_bin(METADATA)?.to_bytes().ok()?;
    RequestMetadata::decode(bytes).ok()
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(MAX_TEXT).map_or(text, |(end, _)| &text[..end])
}

/// The line in the log, written when the request is over.
#[derive(Debug)]
struct Line {
    span: Span,
    begun: Instant,
    outcome: Option<Outcome>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Grpc(Code),
    Http(StatusCode),
    BrokenOff,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grpc(code) => write!(f, "{code:?}"),
            Self::Http(status) => write!(f, "{}", status.as_u16()),
            Self::BrokenOff => f.write_str("broken off"),
        }
    }
}

impl Line {
    /// Takes note of the outcome, which stands among the headers or the trailers.
    fn note(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.outcome = Some(Outcome::Grpc(Code::from_bytes(status.as_bytes())));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.span.in_scope(|| match self.outcome {
            Some(outcome) => tracing::debug!(%outcome, ms, "answered"),
            None => tracing::debug!(outcome = "given up by the client", ms, "answered"),
        });
    }
}

/// An answer on its way out.
#[derive(Debug)]
pub(super) struct LoggedBody<B> {
    body: B,
    line: Line,
}

impl<B: Body<Data = Bytes> + Unpin> Body for LoggedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Self { body, line } = &mut *self;
        let frame = ready!(line.span.in_scope(|| Pin::new(body).poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => frame.trailers_ref().into_iter().for_each(|trailers| line.note(trailers)),
            Some(Err(_)) => line.outcome = Some(Outcome::BrokenOff),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
