//! What the head of an answer says about the file.

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::Reason;
use super::partial::Notes;

/// The first byte of a part of a file, and the size of the whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: Option<u64>,
    pub(super) total: Option<u64>,
}

/// Returns what the head of a whole file says.
pub(super) fn notes(headers: &HeaderMap) -> Notes {
    Notes { version: version(headers), total: length(headers) }
}

/// Returns the version of the file, in the words of `If-Range`: a strong entity tag, or else the time of the last change.
pub(super) fn version(headers: &HeaderMap) -> Option<String> {
    let strong = text(headers, &ETAG).filter(|tag| tag.starts_with('"'));
    strong.or_else(|| text(headers, &LAST_MODIFIED)).map(str::to_owned)
}

/// Returns the bytes that are announced to follow.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, &CONTENT_LENGTH)?.parse().ok()
}

/// Returns which part of the file an answer holds, or that it holds none (`bytes */SIZE`).
pub(super) fn range(headers: &HeaderMap) -> Option<Range> {
    let (range, total) = text(headers, &CONTENT_RANGE)?.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-').and_then(|(first, _)| first.trim().parse().ok());
    Some(Range { first, total: total.trim().parse().ok() })
}

/// Returns why an answer without a file is none.
pub(in crate::source) fn refusal(response: &Response) -> Reason {
    let status = response.status();
    let waits = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
    let retry_after =
        text(response.headers(), &RETRY_AFTER).filter(|_| waits).and_then(|text| text.trim().parse().ok());
    Reason::Status { status, retry_after }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_version_is_a_strong_tag_or_the_last_change() {
        let change = (LAST_MODIFIED, "Sat, 21 Nov 2026 00:00:00 GMT");
        let of = |fields: &[(HeaderName, &str)]| version(&headers(fields));
        assert_eq!(of(&[(ETAG, "\"a\""), change.clone()]).as_deref(), Some("\"a\""));
        assert_eq!(of(&[(ETAG, "W/\"a\""), change.clone()]).as_deref(), Some(change.1));
        assert_eq!(of(&[(ETAG, "W/\"a\"")]), None);
    }

    #[test]
    fn ranges_are_read() {
        let of = |text| range(&headers(&[(CONTENT_RANGE, text)]));
        assert_eq!(of("bytes 5-9/10"), Some(Range { first: Some(5), total: Some(10) }));
        assert_eq!(of("bytes 5-9/*"), Some(Range { first: Some(5), total: None }));
        assert_eq!(of("bytes */10"), Some(Range { first: None, total: Some(10) }));
        for bad in ["", "bytes", "bytes 5-9", "lines 5-9/10"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
