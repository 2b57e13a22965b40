//! Specs as they lie on this host.

use std::path::{Path, PathBuf};

use super::ClientError;
use crate::spec::{Spec, SpecError};
use crate::store::blocking;

/// A spec, and the directory that its relative paths start from.
#[derive(Debug, Clone)]
pub struct LocatedSpec {
    /// The spec.
    pub spec: Spec,
    /// The directory, absolute.
    pub base: PathBuf,
}

impl LocatedSpec {
    /// Reads the spec in a file; paths in it start from the directory of the file.
    ///
    /// # Errors
    /// `ReadSpec` when the file cannot be read, `Spec` when it is no spec.
    pub async fn read(path: &Path) -> Result<Self, ClientError> {
        let (file, name) = (path.to_owned(), path.display().to_string());
        let read = move || match std::fs::read(&file).and_then(|text| Ok((text, std::path::absolute(&file)?))) {
            Ok(read) => Ok(read),
            Err(source) => Err(ClientError::ReadSpec { path: file, source }),
        };
        let (text, path) = blocking(read).await?;
        Ok(Self::parse(&name, &text, path.parent().unwrap_or(Path::new("/")))?)
    }

    /// Reads a spec from its text; `file` is what messages call it, `base` the directory that its paths start from.
    ///
    /// # Errors
    /// When it is no spec.
    pub fn parse(file: &str, text: &[u8], base: &Path) -> Result<Self, SpecError> {
        let spec = Spec::parse(file, text)?;
        Ok(Self { spec, base: std::path::absolute(base).unwrap_or_else(|_| base.to_owned()) })
    }
}
