//! Archives of bases, read once: what was in them is remembered.

use std::fs::File;

use futures::future::BoxFuture;
use tempfile::NamedTempFile;

use super::super::super::{Build, BuildError};
use super::super::composition::{Addition, Image, step};
use crate::digest::Digest;
use crate::oci::{History, ImageConfig, Layer, ReadLayer};
use crate::store::{StoreError, blocking};

/// Returns the root file system in a tar archive of the CAS, as an image of one layer.
///
/// # Errors
/// `Failed` when it is none.
pub(super) async fn image(build: &Build<'_>, config: ImageConfig, archive: Digest) -> Result<Image, BuildError> {
    let mut image = Image::empty(build, config).await?;
    let read = stored(build, "base", archive).await?;
    image.lay(build, vec![addition(read, step("base".to_owned()))]).await?;
    Ok(image)
}

pub(super) fn addition(read: ReadLayer, history: History) -> Addition {
    Addition { layer: Layer { root: read.root, attributes: read.attributes }, history }
}

/// Returns what is in an archive of the CAS.
///
/// # Errors
/// `Failed` when it cannot be a layer.
pub(super) async fn stored(build: &Build<'_>, place: &str, archive: Digest) -> Result<ReadLayer, BuildError> {
    let scratch = build.images.archives.scratch();
    let file = async { Ok(build.store.get_temporary(&archive, scratch, "archive of an image").await?) };
    read(build, place, &archive, Box::pin(file)).await
}

/// Returns what is in an archive of that digest, which is opened only if it was not read before.
///
/// # Errors
/// `Failed` when it cannot be a layer; those of opening it.
pub(super) async fn read(
    build: &Build<'_>,
    place: &str,
    archive: &Digest,
    open: BoxFuture<'_, Result<NamedTempFile, BuildError>>,
) -> Result<ReadLayer, BuildError> {
    let known = &build.images.archives;
    // What is known may have led to a blob that is gone.
    if !build.fresh
        && let Some(read) = known.read_before(build.store, build.function, archive).await?
    {
        return Ok(read);
    }
    let file = open.await?;
    let opened = blocking(move || File::open(file.path()).map_err(StoreError::io("open", file.path()))).await?;
    let read = known.read(build.store, build.function, opened, archive).await;
    read.map_err(|error| BuildError::layer(build, place, error))
}
