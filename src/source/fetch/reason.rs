//! Why one address does not give a file, and whether that may pass.

use std::error::Error;
use std::fmt;
use std::io;

use reqwest::{StatusCode, Url};
use tokio_rustls::rustls;

use crate::transport::explanation;

/// Why an address does not give the file wanted.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The address is of a kind that is not fetched from.
    #[error("it is of no kind that is taken: `http://`, `https://`, `file://` and absolute paths are")]
    Unsupported,
    /// The address cannot be read.
    #[error("it is malformed: {source}")]
    Malformed {
        /// What is wrong with it.
        source: <Url as std::str::FromStr>::Err,
    },
    /// A `file://` address of another host.
    #[error("it names a file of another host; write `file:///PATH`")]
    OtherHost,
    /// A file of this host cannot be read.
    #[error("cannot read it: {source}")]
    Read {
        /// The system's reason.
        source: io::Error,
    },
    /// The path names something else than a file.
    #[error("it is not a file")]
    NoFile,
    /// The file has more bytes than may be.
    #[error("it is larger than the {limit} bytes that are allowed")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// It is another file.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// No certificate can be checked here.
    #[error("its certificate cannot be checked: {reason}")]
    NoAuthorities {
        /// The reason.
        reason: String,
    },
    /// The server's TLS is not to be trusted, or of no use.
    #[error("{}", explanation(source))]
    Tls {
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// No connection came about.
    #[error("cannot connect: {}", innermost(source))]
    Unreachable {
        /// The reason.
        source: reqwest::Error,
    },
    /// A connection took too long to come about.
    #[error("no connection within {milliseconds} ms")]
    ConnectTimeout {
        /// The limit.
        milliseconds: u128,
    },
    /// Nothing arrived for too long.
    #[error("nothing arrived for {milliseconds} ms, {done} bytes into the file")]
    Stalled {
        /// The limit.
        milliseconds: u128,
        /// How much of the file is there.
        done: u64,
    },
    /// The connection broke.
    #[error("the connection broke {done} bytes into the file: {}", innermost(source))]
    Broken {
        /// How much of the file is there.
        done: u64,
        /// The reason.
        source: reqwest::Error,
    },
    /// The request cannot be made, or the answer not be understood.
    #[error("it cannot be asked: {}", innermost(source))]
    Request {
        /// The reason.
        source: reqwest::Error,
    },
    /// The server does not give the file.
    #[error("it answers {status}{}", .retry_after.map(|after| format!(" (to be asked again in {after} s)")).unwrap_or_default())]
    Status {
        /// Its answer.
        status: StatusCode,
        /// The seconds after which it wants to be asked again.
        retry_after: Option<u64>,
    },
    /// The server gives another part of the file than the one it was asked for.
    #[error("it gives another part of the file than the one from byte {asked} on")]
    OtherRange {
        /// The first byte that it was asked for.
        asked: u64,
    },
    /// One redirect too many.
    #[error("more than {limit} redirects, the last one from `{from}` to `{to}`")]
    TooManyRedirects {
        /// The most that are followed.
        limit: usize,
        /// Where the last one came from.
        from: String,
        /// Where it points.
        to: String,
    },
    /// A redirect to something other than `http://` and `https://`.
    #[error("`{from}` redirects to `{to}`, which is neither `http://` nor `https://`")]
    RedirectScheme {
        /// Where the redirect came from.
        from: String,
        /// Where it points.
        to: String,
    },
    /// A redirect from a server with TLS to one without.
    #[error("`{from}` redirects to `{to}`, which is not encrypted")]
    RedirectPlain {
        /// Where the redirect came from.
        from: String,
        /// Where it points.
        to: String,
    },
    /// A redirect that does not say where to.
    #[error("`{from}` redirects to no valid address")]
    RedirectNowhere {
        /// Where the redirect came from.
        from: String,
    },
}

/// A function by which files are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckedFunction {
    /// The id as a Git blob.
    GitBlob,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl fmt::Display for CheckedFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GitBlob => "Git blob id",
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
        })
    }
}

/// How a file differs from the one wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It has not as many bytes as stated.
    #[error("it has {actual} bytes, not {expected}")]
    Size {
        /// The bytes stated.
        expected: u64,
        /// The bytes of the file.
        actual: u64,
    },
    /// A checksum differs.
    #[error("its {function} is `{actual}`, not `{expected}`")]
    Checksum {
        /// Of which function.
        function: CheckedFunction,
        /// The checksum stated.
        expected: String,
        /// The checksum of the file.
        actual: String,
    },
    /// The file is made to have the SHA-1 of another one.
    #[error("its content is an attack on SHA-1")]
    Collision,
}

impl Reason {
    /// Says whether the same address may give the file a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::ConnectTimeout { .. }
            | Self::Stalled { .. }
            | Self::Broken { .. }
            | Self::OtherRange { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
            }
            // An answer without a length that came to an end too early.
            Self::Mismatch(Mismatch::Size { expected, actual }) => actual < expected,
            Self::Mismatch(Mismatch::Checksum { .. } | Mismatch::Collision) => false,
            Self::Unsupported
            | Self::Malformed { .. }
            | Self::OtherHost
            | Self::Read { .. }
            | Self::NoFile
            | Self::TooLarge { .. }
            | Self::NoAuthorities { .. }
            | Self::Tls { .. }
            | Self::Request { .. }
            | Self::TooManyRedirects { .. }
            | Self::RedirectScheme { .. }
            | Self::RedirectPlain { .. }
            | Self::RedirectNowhere { .. } => false,
        }
    }

    /// Returns why there is no answer to a request.
    pub(super) fn of_request(error: reqwest::Error, connect_timeout: std::time::Duration, done: u64) -> Self {
        let source = error.without_url();
        if let Some(fault) = tls_fault(&source) {
            return Self::Tls { source: fault.clone() };
        }
        if source.is_connect() && source.is_timeout() {
            return Self::ConnectTimeout { milliseconds: connect_timeout.as_millis() };
        }
        match source.is_connect() {
            true => Self::Unreachable { source },
            false if source.is_builder() => Self::Request { source },
            false => Self::Broken { done, source },
        }
    }
}

/// Finds the fault of TLS in what caused an error.
fn tls_fault(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref() {
            return Some(fault);
        }
        // An I/O error passes over what it wraps when it is asked for its cause.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Returns the first cause of an error: what the library's layers add to it tells nobody anything.
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
