//! Commands that are run in the image so far.

use super::super::{Build, BuildError};
use crate::digest::Digest;
use crate::oci::{ImageConfig, StoredLayer};
use crate::spec::Command;

/// What a command did.
pub(super) struct Step {
    /// What it changed, as a layer.
    pub layer: StoredLayer,
    /// The action that ran it.
    pub action: Digest,
}

/// Runs a command in an image and returns what it changed.
#[expect(clippy::unused_async, reason = "nothing is run yet")]
pub(super) async fn run_step(
    build: &Build<'_>,
    _root: &StoredLayer,
    _config: &ImageConfig,
    _command: &Command,
) -> Result<Step, BuildError> {
    Err(BuildError::refused(build, "commands in images are not yet supported".to_owned()))
}
