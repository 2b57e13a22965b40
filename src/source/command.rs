//! `git tree` roots: the directory that a command leaves behind, fixed by its tree id.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::{SourceError, import_path};
use crate::spec::GitId;
use crate::store::{GitStore, StoreError, blocking};

/// Longest time a command may take.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// Bytes of a failed command's stderr that are shown.
const SHOWN: usize = 4096;

/// Runs the command of a `git tree` root in an empty directory and puts what it leaves into the Git cache.
/// Its environment is `environment` and nothing else.
///
/// # Errors
/// `OtherTree` when the result is not the tree expected; nothing is then kept under the expected id.
///
/// # Cancel safety
/// Dropping the future kills the command.
pub async fn git_tree(
    git: &GitStore,
    repository: &str,
    expected: GitId,
    command: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<(), SourceError> {
    let directory =
        tempfile::tempdir().map_err(StoreError::io("make a temporary directory in", &std::env::temp_dir()))?;
    run(command, environment, directory.path(), &format!("repository `{repository}`")).await?;
    let (git, repository) = (git.clone(), repository.to_owned());
    blocking(move || {
        let actual = import_path(&git, directory.path())?;
        if actual == expected { Ok(()) } else { Err(SourceError::OtherTree { repository, expected, actual }) }
    })
    .await
}

/// Runs a program to its end, without standard input; what it writes is shown only when it fails.
pub(super) async fn run(
    command: &[String],
    environment: &BTreeMap<String, String>,
    directory: &Path,
    purpose: &str,
) -> Result<(), SourceError> {
    let shown = command.join(" ");
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut process = tokio::process::Command::new(program);
    process.args(arguments).current_dir(directory).env_clear().envs(environment).kill_on_drop(true);
    process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = |source| SourceError::Start { program: program.clone(), purpose: purpose.to_owned(), source };
    let child = process.spawn().map_err(start)?;
    let ended = tokio::time::timeout(TIMEOUT, child.wait_with_output()).await;
    let timeout =
        |_| SourceError::Timeout { command: shown.clone(), seconds: TIMEOUT.as_secs(), purpose: purpose.to_owned() };
    let output = ended.map_err(timeout)?.map_err(start)?;
    if output.status.success() {
        return Ok(());
    }
    let tail = &output.stderr[output.stderr.len().saturating_sub(SHOWN)..];
    Err(SourceError::Failed {
        command: shown,
        status: output.status.to_string(),
        purpose: purpose.to_owned(),
        output: String::from_utf8_lossy(tail).trim_end().to_owned(),
    })
}
