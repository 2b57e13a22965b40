//! Why a prefill does not begin.

use std::io;
use std::path::PathBuf;

use crate::cli::Exit;

/// Why a prefill does not begin, or leaves no report.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum PrefillError {
    #[error("cannot write the report `{path}`")]
    Report { path: PathBuf, source: io::Error },
    #[error("cannot write the report `{path}`: what is there is no file")]
    NoFile { path: PathBuf },
    #[error("cannot read the list `{path}`")]
    List { path: PathBuf, source: io::Error },
    #[error("variable `{name}` is set more than once by `--config` and `--matrix`")]
    Twice { name: String },
    #[error("there would be more than {limit} items")]
    TooMany { limit: usize },
    #[error("a prefill fills the cache of a server, so nothing is built here: `--on-unavailable` is `fail` or `wait`")]
    Local,
}

impl PrefillError {
    pub(in crate::cli) fn exit(&self) -> Exit {
        match self {
            Self::Report { .. } | Self::NoFile { .. } | Self::List { .. } => Exit::Error,
            Self::Twice { .. } | Self::TooMany { .. } | Self::Local => Exit::Usage,
        }
    }
}
