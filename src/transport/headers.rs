//! Headers that go with every call.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::SecurityError;
use super::reload::{Reloaded, lines};

/// What a line of the file holds. The line itself is never shown: it may be a secret.
const EXPECTED: &str = "`name: value` with a lower-case name";

type Header = (AsciiMetadataKey, AsciiMetadataValue);

/// Names and values, as metadata of a call. Its `Debug` form names the file and shows no values.
#[derive(Clone, Default)]
pub struct Headers {
    file: Option<Arc<Reloaded<Vec<Header>>>>,
}

impl Headers {
    /// Reads headers from a file: a `name: value` on each line, where blank lines and those that begin with `#` count
    /// for nothing. The file is read again when it changes. Blocks.
    ///
    /// # Errors
    /// When it cannot be read, or a line is none.
    pub fn from_file(path: PathBuf) -> Result<Self, SecurityError> {
        let file = Reloaded::open(vec![path.clone()], move || read(&path))?;
        Ok(Self { file: Some(Arc::new(file)) })
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Headers").field(&self.file).finish()
    }
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let Some(file) = &self.file else { return Ok(request) };
        if file.is_due() {
            // There is no way to wait here; once a second, a look at one small file is no wait to speak of.
            file.look();
        }
        for (name, value) in file.current().iter() {
            request.metadata_mut().append(name.clone(), value.clone());
        }
        Ok(request)
    }
}

fn read(path: &Path) -> Result<Vec<Header>, SecurityError> {
    let bad = |line| SecurityError::Line { path: path.to_owned(), line, expected: EXPECTED };
    lines(path)?.iter().map(|(number, line)| parse(line).ok_or_else(|| bad(*number))).collect()
}

fn parse(line: &str) -> Option<Header> {
    let (name, value) = line.split_once(':')?;
    if name.contains(|c: char| c.is_ascii_uppercase()) || name.starts_with("grpc-") {
        return None;
    }
    let mut value: AsciiMetadataValue = value.trim().parse().ok()?;
    // Neither shown by `Debug` nor kept in the tables that compress headers.
    value.set_sensitive(true);
    Some((name.parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> Result<Headers, SecurityError> {
        let file = tempfile::NamedTempFile::new().expect("temporary");
        std::fs::write(file.path(), text).expect("temporary");
        Headers::from_file(file.path().to_owned())
    }

    #[test]
    fn each_line_is_sent_with_every_call() {
        let mut headers = headers("# who\nauthorization: Bearer a:b\n\nx-team:one\nx-team: two\n").expect("good");
        let request = headers.call(Request::new(())).expect("accepted");
        assert_eq!(request.metadata().get("authorization").expect("sent"), "Bearer a:b");
        assert_eq!(request.metadata().get_all("x-team").iter().count(), 2);
    }

    #[test]
    fn a_line_that_is_no_header_is_named_and_not_shown() {
        for line in ["secret", ": secret", "Authorization: secret", "a b: secret", "x-bin: secret", "grpc-x: secret"] {
            let error = headers(&format!("x-team: one\n{line}\n")).expect_err(line).to_string();
            assert!(error.contains(":2: `name: value`") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn values_are_not_shown() {
        let mut headers = headers("authorization: Bearer secret").expect("good");
        let request = headers.call(Request::new(())).expect("accepted");
        let shown = format!("{headers:?} {:?}", request.metadata());
        assert!(shown.contains("authorization") && !shown.contains("secret"), "{shown}");
    }
}
