//! Paths as arguments name them.

use std::path::{Path, PathBuf};

use super::error::CliError;

/// Returns the absolute form of a path.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path).map_err(|source| CliError::Path { path: path.to_owned(), source })
}
