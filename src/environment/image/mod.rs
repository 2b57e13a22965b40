//! Kind `image`: layers over a base, commands run in it, and the documents that make it a container image.

mod run;

use std::path::PathBuf;

pub use self::run::RootArchives;
use super::publish::Made;
use super::{Build, BuildError};
use crate::spec::{ImageFields, KindName};

/// What builds of this kind share.
pub struct ImageBuilds {
    /// Where large files wait while they are read or made.
    pub scratch: PathBuf,
    /// The archives of root file systems that commands run in.
    pub archives: RootArchives,
}

/// Builds the environment.
#[expect(clippy::unused_async, reason = "nothing is built yet")]
pub(super) async fn build(build: &Build<'_>, _fields: &ImageFields) -> Result<Made, BuildError> {
    Err(BuildError::Kind { name: build.parts.name.clone(), kind: KindName::Image })
}
