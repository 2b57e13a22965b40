//! Blobs that are pushed: in one piece, in chunks, or mounted from another repository.

use axum::body::{Body, BodyDataStream};
use axum::http::header::{CONTENT_ENCODING, CONTENT_RANGE, LOCATION, RANGE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::super::incoming::{drain, length};
use super::Registry;
use super::address::field;
use super::blobs::CONTENT_DIGEST;
use super::error::{Asked, RegistryError};
use super::sessions::{Session, Sessions};
use crate::oci::{KnownBlob, OciDigest, Pushed};
use crate::serve::admission::Rights;
use crate::spec::shown;

/// The header that names an upload.
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Begins an upload, or takes all of it.
pub(super) async fn begin(
    registry: &Registry,
    name: &str,
    head: &Parts,
    body: Body,
) -> Result<Response, RegistryError> {
    let mut body = body.into_data_stream();
    let begun = begin_with(registry, name, head, &mut body).await;
    if begun.is_err() {
        drain(&head.headers, body).await;
    }
    begun
}

async fn begin_with(
    registry: &Registry,
    name: &str,
    head: &Parts,
    body: &mut BodyDataStream,
) -> Result<Response, RegistryError> {
    let sessions = registry.uploads.as_ref().ok_or(RegistryError::PushOff)?;
    let (headers, query) = (&head.headers, head.uri.query());
    if let Some(mounted) = field(query, "mount") {
        let digest: OciDigest = mounted.parse()?;
        match registry.find(Asked::Blob, &digest, Rights::among(head.extensions.get())).await {
            Ok(_) => return Ok(stored(name, &digest)),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error),
        }
    }
    let digest = field(query, "digest").map(|digest| digest.parse::<OciDigest>()).transpose()?;
    let function = registry.backend.resolver().await?.function();
    let (id, session) = sessions.begin(name, function, length(headers)).await?;
    let Some(digest) = digest else { return Ok(going_on(StatusCode::ACCEPTED, name, id, 0)) };
    let taken = take_last(registry, sessions, &session, &digest, headers, body).await;
    sessions.end(id);
    taken.map(|()| stored(name, &digest))
}

/// Does something with an upload that was begun.
pub(super) async fn go_on(
    registry: &Registry,
    name: &str,
    id: &str,
    method: &Method,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, RegistryError> {
    let mut body = body.into_data_stream();
    let gone_on = go_on_with(registry, (name, id), method, query, headers, &mut body).await;
    if gone_on.is_err() {
        drain(headers, body).await;
    }
    gone_on
}

async fn go_on_with(
    registry: &Registry,
    (name, id): (&str, &str),
    method: &Method,
    query: Option<&str>,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<Response, RegistryError> {
    let sessions = registry.uploads.as_ref().ok_or(RegistryError::PushOff)?;
    match *method {
        Method::GET => {
            let (id, session) = sessions.get(name, id)?;
            Ok(going_on(StatusCode::NO_CONTENT, name, id, session.size().await))
        }
        Method::PATCH => {
            let (id, session) = sessions.get(name, id)?;
            take(&session, headers, body).await?;
            Ok(going_on(StatusCode::ACCEPTED, name, id, session.size().await))
        }
        Method::PUT => {
            let (id, session) = sessions.get(name, id)?;
            let digest = field(query, "digest").ok_or(RegistryError::NoDigest)?.parse()?;
            let taken = take_last(registry, sessions, &session, &digest, headers, body).await;
            // One that is something else than it was said to be never becomes that.
            if matches!(taken, Ok(()) | Err(RegistryError::OtherContent { .. })) {
                sessions.end(id);
            }
            taken.map(|()| stored(name, &digest))
        }
        Method::DELETE => {
            let (id, _) = sessions.get(name, id)?;
            sessions.end(id);
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => Err(RegistryError::Method { allowed: "GET, PATCH, PUT, DELETE" }),
    }
}

/// Takes the next chunk of an upload.
async fn take(session: &Session, headers: &HeaderMap, body: &mut BodyDataStream) -> Result<(), RegistryError> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(RegistryError::Encoding);
    }
    let mut place = session.write()?;
    if let Some(range) = headers.get(CONTENT_RANGE) {
        let text = range.to_str().unwrap_or_default();
        let wrong = || RegistryError::ContentRange { range: shown(text) };
        let (start, end) = chunk(text).ok_or_else(wrong)?;
        if length(headers).is_some_and(|length| end - start != length) {
            return Err(wrong());
        }
        let at = session.size().await;
        if start != at {
            return Err(RegistryError::Offset { at });
        }
    }
    session.receive(&mut place, body).await
}

/// Reads the range of a chunk: `FIRST-LAST`, as OCI has it, or with `bytes ` in front and a size behind.
fn chunk(text: &str) -> Option<(u64, u64)> {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let (first, last) = text.split('/').next()?.split_once('-')?;
    let (first, end) = (number(first)?, number(last)?.checked_add(1)?);
    (first < end).then_some((first, end))
}

/// Takes the last chunk of an upload and stores the whole.
async fn take_last(
    registry: &Registry,
    sessions: &Sessions,
    session: &Session,
    digest: &OciDigest,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<(), RegistryError> {
    take(session, headers, body).await?;
    let _nobody_writes = session.write()?;
    let (path, sha256, blob) = session.received().await;
    if let Some(actual) = OciDigest::from_digest(&sha256).filter(|actual| actual != digest) {
        return Err(RegistryError::OtherContent { expected: *digest, actual });
    }
    let _one_of_few = sessions.storing.acquire().await.expect("it is never closed");
    let resolver = registry.backend.resolver().await?;
    resolver.store().put_file(&blob, &path).await?;
    let known = registry.known().await?;
    // A manifest that was pushed as one stays one.
    let before = known.blobs(digest).await?.into_iter().find_map(|blob| match blob {
        KnownBlob::Pushed(pushed) => pushed.media_type,
        KnownBlob::Part(..) => None,
    });
    known.put_pushed(digest, &Pushed { blob, media_type: before }, None).await?;
    Ok(())
}

fn going_on(status: StatusCode, name: &str, id: Uuid, size: u64) -> Response {
    let headers = [
        (LOCATION, format!("/v2/{name}/blobs/uploads/{id}")),
        (RANGE, format!("0-{}", size.saturating_sub(1))),
        (UPLOAD_ID, id.to_string()),
    ];
    (status, headers).into_response()
}

fn stored(name: &str, digest: &OciDigest) -> Response {
    let headers = [(LOCATION, format!("/v2/{name}/blobs/{digest}")), (CONTENT_DIGEST, digest.to_string())];
    (StatusCode::CREATED, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_chunks_are_read() {
        assert_eq!(chunk("0-9"), Some((0, 10)));
        assert_eq!(chunk("bytes 10-19/*"), Some((10, 20)));
        let max = u64::MAX;
        for wrong in
            ["", "-", "5-4", "-1-4", "0-", "x-y", "bytes=0-1", "+0-1", &format!("0-{max}"), &format!("0-{max}0")]
        {
            assert_eq!(chunk(wrong), None, "{wrong}");
        }
    }
}
