//! Tokens: those that a call shows, and those that a file lists.
//!
//! Tokens are kept and compared as digests, which takes the same time whatever they have in common.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tonic::codegen::http::HeaderMap;
use tonic::codegen::http::header::AUTHORIZATION;

use crate::serve::http::is_grpc;
use crate::transport::{Reloaded, SecurityError, lines};

/// Longest token. A longer one does not fit into the headers that are taken.
const MAX_TOKEN: usize = 4096;
/// What a line of the file holds. The line itself is never shown: it may be a secret.
const EXPECTED: &str = "one token without spaces";
const EXPECTED_LENGTH: &str = "a token of at most 4096 characters";

/// A file of tokens, read again when it changes.
pub(super) type TokenFile = Arc<Reloaded<Tokens>>;

/// Reads a file of tokens. Blocks.
pub(super) fn open(file: PathBuf) -> Result<TokenFile, SecurityError> {
    Reloaded::open(vec![file.clone()], move || Tokens::read(&file)).map(Arc::new)
}

/// Returns the token that a call shows. gRPC clients send a header; those of the web may know no other way than a
/// password, whatever the name.
pub(super) fn shown(headers: &HeaderMap) -> Option<Cow<'_, [u8]>> {
    let bearer = after_scheme(headers, "Bearer ").map(Cow::Borrowed);
    bearer.or_else(|| password(headers).filter(|_| !is_grpc(headers)).map(Cow::Owned))
}

fn after_scheme<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a [u8]> {
    let (found, rest) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(scheme.len())?;
    found.eq_ignore_ascii_case(scheme.as_bytes()).then(|| rest.trim_ascii())
}

fn password(headers: &HeaderMap) -> Option<Vec<u8>> {
    let pair = BASE64_STANDARD.decode(after_scheme(headers, "Basic ")?).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// The digests of the tokens that are accepted.
pub(super) struct Tokens(Vec<blake3::Hash>);

impl Tokens {
    fn read(path: &Path) -> Result<Self, SecurityError> {
        let bad = |line, expected| SecurityError::Line { path: path.to_owned(), line, expected };
        let token = |(number, line): (usize, String)| match line {
            line if line.contains(char::is_whitespace) => Err(bad(number, EXPECTED)),
            line if line.len() > MAX_TOKEN => Err(bad(number, EXPECTED_LENGTH)),
            line => Ok(blake3::hash(line.as_bytes())),
        };
        lines(path)?.into_iter().map(token).collect::<Result<_, _>>().map(Self)
    }

    /// Says whether a token is listed. All are compared, each in constant time: that is what equality of these digests
    /// does.
    pub(super) fn lists(&self, token: &blake3::Hash) -> bool {
        self.0.iter().fold(false, |found, listed| found | (listed == token))
    }
}
