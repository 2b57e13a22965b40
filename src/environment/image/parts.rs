//! Parts of images, read from the CAS.

use std::error::Error;
use std::fs::File;

use bytes::Bytes;

use super::super::action::Ran;
use super::super::{Build, BuildError, FailureReason};
use crate::digest::Digest;
use crate::oci::{Attributes, LayerError, LayerOptions, ReadLayer, read_layer};
use crate::store::{Directory, StoreError, blocking};

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
pub(in super::super) async fn document(
    build: &Build<'_>,
    digest: &Digest,
    role: &'static str,
) -> Result<Bytes, BuildError> {
    Ok(build.store.get(digest).await?.ok_or(StoreError::Missing { digest: *digest, role })?)
}

/// Reads a directory.
///
/// # Errors
/// When it is not there, or none.
pub(in super::super) async fn directory(build: &Build<'_>, digest: Digest) -> Result<Directory, BuildError> {
    let bytes = document(build, &digest, "directory of an image").await?;
    let wrong = |source| StoreError::Directory { digest, source };
    Ok(Directory::parse(build.function, &bytes).map_err(wrong)?)
}

/// Reads the attributes of a layer.
///
/// # Errors
/// When they are not there, or none.
pub(in super::super) async fn attributes(build: &Build<'_>, digest: &Digest) -> Result<Attributes, BuildError> {
    let bytes = document(build, digest, "attributes of a layer").await?;
    Attributes::parse(&bytes).map_err(|error| refused(build, "a layer", &error))
}

/// Reads the upper layer of an overlay, which an action left as an archive.
///
/// # Errors
/// `Failed` when it is none.
pub(in super::super) async fn upper_layer(
    build: &Build<'_>,
    ran: &Ran,
    archive: &Digest,
    keep_times: bool,
) -> Result<ReadLayer, BuildError> {
    let scratch = build.images.archives.scratch();
    let file = build.store.get_temporary(archive, scratch, "layer that an action left").await?;
    let path = file.path().to_owned();
    let opened = blocking(move || File::open(&path).map_err(StoreError::io("open", &path))).await?;
    let options = LayerOptions { keep_times, overlay: true, ..LayerOptions::default() };
    match read_layer(opened, build.store, build.function, scratch, options).await {
        Ok(layer) => Ok(layer),
        Err(LayerError::Store(error)) => Err(error.into()),
        Err(source @ LayerError::Io { .. }) => Err(BuildError::layer(build, "what an action left", source)),
        Err(error) => Err(ran.failed(build, FailureReason::Output { reason: error.to_string() }).await?),
    }
}
