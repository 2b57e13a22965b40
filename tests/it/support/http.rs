//! Plain requests over HTTP/1.1, and what comes back for them.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::text;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its end.
    pub(crate) whole: bool,
}

impl Answer {
    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let same = |found: &str| found.eq_ignore_ascii_case(name);
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| same(found))
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        text(&self.body)
    }
}

/// Sends a request over a connection of its own.
pub(crate) fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Content-Length") && !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("it reads");
    // Who is refused may see the connection closed before all is sent.
    let _refused = stream.write_all(body);
    let mut bytes = Vec::new();
    let _broken_off = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{}", text(&bytes)));
    let rest = bytes.split_off(end + 4);
    let head = text(&bytes);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut answer = Answer { status, head, body: Vec::new(), whole: true };
    if answer.header("transfer-encoding") == Some("chunked") {
        (answer.body, answer.whole) = unchunk(&rest);
    } else {
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        answer.whole = method == "HEAD" || length.is_none_or(|length: usize| length == rest.len());
        answer.body = rest;
    }
    answer
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(&text(&rest[..line]), 16).expect("a length");
        let Some(chunk) = rest.get(line + 2..line + 2 + length).filter(|_| rest.len() >= line + 4 + length) else {
            break;
        };
        if length == 0 {
            return (body, true);
        }
        body.extend_from_slice(chunk);
        rest = &rest[line + 4 + length..];
    }
    (body, false)
}
