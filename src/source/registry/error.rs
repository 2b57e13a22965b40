//! What can go wrong with a pull.

use std::path::PathBuf;

use super::credentials::AuthFileError;
use crate::oci::DocumentError;
use crate::source::{FetchError, FetchReason};
use crate::store::StoreError;

/// Why an image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The reference does not say where the image is.
    #[error("`{reference}` names no registry: write `HOST/NAME@sha256:HASH`")]
    NoRegistry {
        /// The reference.
        reference: String,
    },
    /// The operator does not let anything be pulled from there.
    #[error("this server may not pull from `{address}`: start it with `--fetch {option}` to allow that")]
    NotAllowed {
        /// Below which address the image lies.
        address: String,
        /// What the option has to be given.
        option: String,
    },
    /// The reference may name another image tomorrow.
    #[error("image `{reference}` is not fixed by content: write `{reference}@sha256:HASH`")]
    Unpinned {
        /// The reference.
        reference: String,
    },
    /// The registry does not know the image, or a part of it.
    #[error("registry `{registry}` does not know `{what}`")]
    Unknown {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: String,
    },
    /// The registry does not give the image to this server.
    #[error("registry `{registry}` does not let this server pull `{repository}`: {}", .credentials)]
    Denied {
        /// The registry.
        registry: String,
        /// The name of the image there.
        repository: String,
        /// What there was to show to it.
        credentials: Tried,
    },
    /// A file with credentials cannot be used.
    #[error("cannot use the credentials in `{path}`")]
    AuthFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: AuthFileError,
    },
    /// The registry sends for a token to a place that it may not send to.
    #[error("registry `{registry}` sends for a token to `{realm}`, {what}")]
    Realm {
        /// The registry.
        registry: String,
        /// Where it sends to, without credentials.
        realm: String,
        /// What is wrong with that.
        what: &'static str,
    },
    /// What should hold a token holds none.
    #[error("`{realm}` gives no token that could be used")]
    Token {
        /// Who gives tokens for the registry.
        realm: String,
    },
    /// A request failed.
    #[error("cannot fetch `{address}`: {reason}")]
    Failed {
        /// The address.
        address: String,
        /// What went wrong last.
        reason: FetchReason,
    },
    /// What the registry gives is no image.
    #[error("`{what}` of registry `{registry}` is not what an image needs")]
    Document {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        #[source]
        source: DocumentError,
    },
    /// Nothing there runs on the platform.
    #[error("`{what}` of registry `{registry}` is not for `{wanted}`; it is for {}", list(found))]
    Platform {
        /// The registry.
        registry: String,
        /// The image or index.
        what: String,
        /// The platform wanted.
        wanted: String,
        /// The platforms that there are.
        found: Vec<String>,
    },
    /// An index within an index within …
    #[error("`{what}` of registry `{registry}` leads through more than {limit} indexes")]
    Nested {
        /// The registry.
        registry: String,
        /// The index.
        what: String,
        /// The most that are followed.
        limit: usize,
    },
    /// The image has more bytes than are taken.
    #[error("the layers of `{what}` of registry `{registry}` have {size} bytes, more than the {limit} that are taken")]
    TooLarge {
        /// The registry.
        registry: String,
        /// The manifest.
        what: String,
        /// The bytes stated.
        size: u64,
        /// The most that are taken.
        limit: u64,
    },
    /// It took too long.
    #[error("`{reference}` was not there within {seconds} s")]
    Timeout {
        /// What was asked for.
        reference: String,
        /// The limit.
        seconds: u64,
    },
    /// The directory for downloads refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// HTTP cannot be spoken at all.
    #[error(transparent)]
    Fetch(FetchError),
}

/// What there was to show to a registry that denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The file with the credentials that it refuses, where there were some.
    pub refused: Option<PathBuf>,
    /// The files that were looked into.
    pub files: Vec<PathBuf>,
    /// A file that leaves the credentials to another program.
    pub helper: Option<PathBuf>,
}

impl std::fmt::Display for Tried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.refused, &self.helper) {
            (Some(path), _) => write!(f, "it refuses the credentials in `{}`", path.display()),
            (None, Some(path)) => write!(
                f,
                "`{}` leaves its credentials to another program, and none is asked; write them into a file and name that by \
                 REGISTRY_AUTH_FILE",
                path.display()
            ),
            (None, None) if self.files.is_empty() => {
                f.write_str("no file with credentials is named; set REGISTRY_AUTH_FILE")
            }
            (None, None) => write!(f, "there are no credentials for it in {}", list(&self.files)),
        }
    }
}

impl RegistryError {
    /// Returns what may pass, of a failed request.
    pub(super) fn transient(&self) -> Option<&FetchReason> {
        match self {
            Self::Failed { reason, .. } if reason.is_transient() => Some(reason),
            _ => None,
        }
    }
}

impl From<FetchError> for RegistryError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Store(error) => Self::Store(error),
            error => Self::Fetch(error),
        }
    }
}

/// A list of what people write in backticks.
fn list<T: AsRef<std::ffi::OsStr>>(items: &[T]) -> String {
    let shown: Vec<String> = items.iter().map(|item| format!("`{}`", item.as_ref().to_string_lossy())).collect();
    if shown.is_empty() { "nothing that is known".to_owned() } else { shown.join(", ") }
}
