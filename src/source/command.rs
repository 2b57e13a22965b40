//! `git tree` roots: the directory that a command leaves behind, fixed by its tree id.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::process::{Program, TIMEOUT};
use super::sandbox::Sandbox;
use super::{SourceError, import_path};
use crate::spec::GitId;
use crate::store::{GitStore, StoreError, blocking, remove_tree};

#[cfg(test)]
mod tests;

/// Runs the command of a `git tree` root in an empty directory and puts what it leaves into the Git cache.
/// Its environment is `environment` and nothing else. In a sandbox, where this host lets there be one, the command
/// can write nowhere but that directory, and a `/tmp` that is gone afterwards.
///
/// # Errors
/// `OtherTree` when the result is not the tree expected; nothing is then kept under the expected id.
///
/// # Cancel safety
/// Dropping the future kills the command with all that it has started.
pub async fn git_tree(
    git: &GitStore,
    repository: &str,
    expected: GitId,
    command: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<(), SourceError> {
    let scratch = blocking(Scratch::new).await?;
    let sandbox = Sandbox::new(&scratch.tmp()).await;
    let (directory, purpose) = (scratch.tree(), format!("repository `{repository}`"));
    let (purpose, sandbox) = (&*purpose, sandbox.as_ref());
    let program = Program { command, environment, directory: &directory, purpose, timeout: TIMEOUT, sandbox };
    program.run().await?;
    take(git, repository, expected, scratch).await
}

/// Puts what a command has left into the Git cache.
async fn take(git: &GitStore, repository: &str, expected: GitId, scratch: Scratch) -> Result<(), SourceError> {
    let (git, repository) = (git.clone(), repository.to_owned());
    blocking(move || {
        let actual = import_path(&git, &scratch.tree())?;
        if actual == expected { Ok(()) } else { Err(SourceError::OtherTree { repository, expected, actual }) }
    })
    .await
}

/// The directories of one command, gone when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, SourceError> {
        // A sandbox does not follow symlinks on the way to it.
        let made = std::env::temp_dir().canonicalize().and_then(tempfile::tempdir_in);
        let made = made.map_err(StoreError::io("make a temporary directory in", &std::env::temp_dir()))?;
        let scratch = Self(made.keep());
        for path in [scratch.tree(), scratch.tmp()] {
            fs::create_dir(&path).map_err(StoreError::io("make the directory", &path))?;
        }
        Ok(scratch)
    }

    /// The directory that the command is to fill.
    fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// What is `/tmp` to it in a sandbox.
    fn tmp(&self) -> PathBuf {
        self.0.join("tmp")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove what a command has left");
        }
    }
}
