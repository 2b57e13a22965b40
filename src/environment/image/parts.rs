//! Parts of images, read from the CAS.

use std::error::Error;

use bytes::Bytes;

use super::super::{Build, BuildError};
use crate::digest::Digest;
use crate::oci::Attributes;
use crate::store::{Directory, StoreError};

/// Returns the failure of an image that is made from something unusable, with all that is wrong with that.
pub(super) fn refused(build: &Build<'_>, place: &str, error: &(dyn Error + 'static)) -> BuildError {
    let (mut reason, mut cause) = (format!("{place}: {error}"), error.source());
    while let Some(error) = cause {
        reason.push_str(&format!(": {error}"));
        cause = error.source();
    }
    BuildError::refused(build, reason)
}

/// Reads a document.
///
/// # Errors
/// `Missing`, in that role, when it is not there.
pub(super) async fn document(build: &Build<'_>, digest: &Digest, role: &'static str) -> Result<Bytes, BuildError> {
    Ok(build.store.get(digest).await?.ok_or(StoreError::Missing { digest: *digest, role })?)
}

/// Reads a directory.
///
/// # Errors
/// When it is not there, or none.
pub(super) async fn directory(build: &Build<'_>, digest: Digest) -> Result<Directory, BuildError> {
    let bytes = document(build, &digest, "directory of an image").await?;
    let wrong = |source| StoreError::Directory { digest, source };
    Ok(Directory::parse(build.function, &bytes).map_err(wrong)?)
}

/// Reads the attributes of a layer.
///
/// # Errors
/// When they are not there, or none.
pub(super) async fn attributes(build: &Build<'_>, digest: &Digest) -> Result<Attributes, BuildError> {
    let bytes = document(build, digest, "attributes of a layer").await?;
    Attributes::parse(&bytes).map_err(|error| refused(build, "a layer", &error))
}
