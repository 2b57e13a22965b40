//! Programs of this host: where they are, and which package has them.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::Lack;
use super::command::{SHORT, run};

/// Returns where a program lies.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// Returns where a program lies that is needed.
pub(super) fn need(program: &str, package: &str) -> Result<PathBuf, Lack> {
    let lack = || Lack::new(format!("`{program}` is not installed"), format!("install the package `{package}`"));
    find(program).ok_or_else(lack)
}

/// Returns the first line that a program says of its version.
pub(super) async fn version(program: &Path, package: &str) -> Result<String, Lack> {
    let name = program.display().to_string();
    let said = run(&name, Command::new(program).arg("--version"), SHORT).await;
    let said = said.map_err(|error| {
        Lack::new(error.to_string(), format!("see what it says of this, or install the package `{package}` anew"))
    })?;
    Ok(super::command::shown(said.lines().next().unwrap_or_default()))
}

/// Finds out whether a program is there and starts.
pub(super) async fn probe(program: &str, package: &str) -> Result<String, Lack> {
    let path = need(program, package)?;
    let version = version(&path, package).await?;
    Ok(format!("{version} (`{}`)", path.display()))
}
