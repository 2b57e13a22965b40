//! `git` roots: a commit fetched into the Git cache by the `git` program.
//!
//! The program, rather than libgit2, because it has the user's credentials,
//! proxies and host aliases, and speaks every transport.

use std::collections::BTreeMap;
use std::fs::File;

use rustix::fs::{FlockOperation, flock};

use super::SourceError;
use super::process::{Program, TIMEOUT};
use crate::spec::{GitId, RelativePath};
use crate::store::{GitStore, StoreError, blocking};

#[cfg(test)]
mod tests;

/// Fetches a commit unless it is there, and returns the id of its tree, or of the directory `subdir` in it.
/// Each address is tried in turn: first for the commit alone, then for the whole branch.
///
/// # Errors
/// The first address's failure when none has the commit; `NoSubdir`; `StoreError::NotCommit` when the id is that
/// of a tag, say.
pub async fn fetch_commit(
    git: &GitStore,
    addresses: &[String],
    branch: &str,
    commit: GitId,
    subdir: &RelativePath,
    environment: &BTreeMap<String, String>,
) -> Result<GitId, SourceError> {
    if let Some(tree) = known_commit(git, commit, subdir).await? {
        return Ok(tree);
    }
    let _lock = lock(git).await?;
    let mut first = None;
    for address in addresses {
        match fetch(git, address, branch, commit, environment).await {
            Ok(()) => match known_commit(git, commit, subdir).await? {
                Some(tree) => return Ok(tree),
                None => first = first.or(Some(no_commit(commit, address, branch))),
            },
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| no_commit(commit, "", branch)))
}

fn no_commit(commit: GitId, repository: &str, branch: &str) -> SourceError {
    SourceError::NoCommit { commit, repository: repository.to_owned(), branch: branch.to_owned() }
}

/// Returns the tree id of a commit that is in the Git cache, or of the directory `subdir` in it.
///
/// # Errors
/// `NoSubdir`.
pub async fn known_commit(git: &GitStore, commit: GitId, subdir: &RelativePath) -> Result<Option<GitId>, SourceError> {
    let (git, subdir) = (git.clone(), subdir.clone());
    blocking(move || match git.tree_of_commit(commit, &subdir)? {
        None => Ok(None),
        Some(None) => Err(SourceError::NoSubdir { commit, subdir }),
        Some(Some(tree)) => Ok(Some(tree)),
    })
    .await
}

/// Fetches into one cache follow one another: shallow fetches of one repository do not run side by side.
async fn lock(git: &GitStore) -> Result<File, SourceError> {
    let path = git.path().join("envserve-fetch.lock");
    blocking(move || {
        let file = File::create(&path).map_err(StoreError::io("make", &path))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|error| StoreError::io("lock", &path)(error.into()))?;
        Ok(file)
    })
    .await
}

async fn fetch(
    git: &GitStore,
    address: &str,
    branch: &str,
    commit: GitId,
    environment: &BTreeMap<String, String>,
) -> Result<(), SourceError> {
    let environment = &unattended(environment);
    let (directory, purpose) = (git.path(), &*format!("commit `{commit}`"));
    let program = |command| Program { command, environment, directory, purpose, timeout: TIMEOUT, sandbox: None };
    let keep = format!("refs/envserve/{commit}");
    let alone = command(address, &["--depth=1"], &format!("+{commit}:{keep}"));
    if program(&alone).run().await.is_ok() {
        return Ok(());
    }
    let whole = command(address, &[], &format!("+refs/heads/{branch}:{keep}"));
    program(&whole).run().await
}

/// Adds to an environment that nobody sits at a terminal: neither Git nor ssh then waits for an answer there.
fn unattended(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut environment = environment.clone();
    for (name, value) in [("GIT_TERMINAL_PROMPT", "0"), ("SSH_ASKPASS_REQUIRE", "force")] {
        environment.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    environment
}

fn command(address: &str, options: &[&str], refspec: &str) -> Vec<String> {
    let fixed = ["git", "-c", "gc.auto=0", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
    let last = ["--", address, refspec];
    fixed.iter().chain(options).chain(&last).map(|&word| word.to_owned()).collect()
}
