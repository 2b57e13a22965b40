//! Bodies of which a request may want a part: ranges, and what a client has already.

use std::ops::Range;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// Something that can be sent.
pub(super) struct Content<'a> {
    /// Its content type.
    pub(super) kind: &'a str,
    /// Its bytes.
    pub(super) size: u64,
    /// What tells it from anything else that ever had its name; without quotes.
    pub(super) tag: &'a str,
}

/// Answers with what a request wants of something, whose bytes `body` makes.
pub(super) fn answer(headers: &HeaderMap, content: &Content<'_>, body: impl FnOnce(Range<u64>) -> Body) -> Response {
    let Content { kind, size, tag } = *content;
    let tag = format!("\"{tag}\"");
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(IF_NONE_MATCH) == Some(&tag) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    let same = text(IF_RANGE).is_none_or(|known| known == tag);
    let range = match text(RANGE).filter(|_| same).map_or(Part::Whole, |range| wanted(range, size)) {
        Part::Whole => 0..size,
        Part::Bytes(range) => range,
        Part::Beyond => {
            let length = [(CONTENT_RANGE, format!("bytes */{size}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, length).into_response();
        }
    };
    let general: [(HeaderName, String); 4] = [
        (CONTENT_TYPE, kind.to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CONTENT_LENGTH, (range.end - range.start).to_string()),
        (ETAG, tag),
    ];
    if range == (0..size) {
        return (general, body(range)).into_response();
    }
    let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    (StatusCode::PARTIAL_CONTENT, [(CONTENT_RANGE, shown)], (general, body(range))).into_response()
}

/// What is wanted of so many bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Everything. So it is understood, too, when the header makes no sense or names several parts.
    Whole,
    /// These bytes, at least one.
    Bytes(Range<u64>),
    /// Bytes that are not there.
    Beyond,
}

/// Reads the header `Range` for something of `size` bytes.
fn wanted(header: &str, size: u64) -> Part {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Part::Whole;
    };
    let (start, end) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(size)),
        (Some(first), None) if last.is_empty() => (first, size),
        (None, Some(count)) if first.is_empty() => (size.saturating_sub(count), size),
        _ => return Part::Whole,
    };
    if start < end { Part::Bytes(start..end) } else { Part::Beyond }
}

/// Reads a number of digits alone; one that is too large is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_is_understood_in_every_form() {
        for (header, range) in [
            ("bytes=0-9", 0..10),
            ("bytes=0-0", 0..1),
            ("bytes=3-5", 3..6),
            ("bytes=3-", 3..10),
            ("bytes=-4", 6..10),
            ("bytes=-99", 0..10),
            ("bytes=9-99", 9..10),
            ("bytes=0-99999999999999999999999", 0..10),
        ] {
            assert_eq!(wanted(header, 10), Part::Bytes(range), "{header}");
        }
    }

    #[test]
    fn what_is_beyond_the_end_is_said_to_be_so() {
        for header in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(wanted(header, 10), Part::Beyond, "{header}");
        }
    }

    #[test]
    fn what_makes_no_sense_means_everything() {
        for header in
            ["", "bytes", "bytes=", "bytes=-", "bytes=5-3", "bytes=a-b", "bytes=+1-2", "bytes=0-1,3-4", "lines=0-1"]
        {
            assert_eq!(wanted(header, 10), Part::Whole, "{header}");
        }
    }
}
