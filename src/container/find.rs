//! Programs of the host.

use std::fs::{self, Metadata};
use std::path::PathBuf;

use super::ContainerError;

/// Returns where a program lies.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let is_program = |path: &PathBuf| fs::metadata(path).is_ok_and(|found: Metadata| found.is_file());
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(is_program)
}

/// Programs that are needed for containers.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) runc: PathBuf,
    pub(crate) setpriv: PathBuf,
}

impl Programs {
    /// Looks for them.
    ///
    /// # Errors
    /// `Lacks` when one is not installed.
    pub(crate) fn find() -> Result<Self, ContainerError> {
        let get = |program, package| find(program).ok_or(ContainerError::Lacks { program, package });
        Ok(Self { runc: get("runc", "runc")?, setpriv: get("setpriv", "util-linux")? })
    }
}
