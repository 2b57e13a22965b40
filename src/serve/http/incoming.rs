//! Bodies that clients send.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::timeout;

/// Longest wait for the next bytes of a body.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest body that is read though nobody wants it, so that the client reads the answer.
const DRAINED: u64 = 8 << 20;

/// A body stopped before its end.
#[derive(Debug, thiserror::Error)]
#[error("the body did not come to its end")]
pub(super) struct Interrupted;

/// Returns how long a body says that it is.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Returns the next bytes of a body, which must not let itself be waited for.
pub(super) async fn next(body: &mut BodyDataStream) -> Result<Option<Bytes>, Interrupted> {
    match timeout(PATIENCE, body.next()).await {
        Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
        Ok(None) => Ok(None),
        Ok(Some(Err(_))) | Err(_) => Err(Interrupted),
    }
}

/// Reads what is left of a short body that is on its way already: clients that write get no answer otherwise.
pub(super) async fn drain(headers: &HeaderMap, mut body: BodyDataStream) {
    if headers.contains_key(EXPECT) || length(headers).is_none_or(|length| length > DRAINED) {
        return;
    }
    while let Ok(Some(_)) = next(&mut body).await {}
}
