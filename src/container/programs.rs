//! The programs of the host by which containers run.

use std::path::PathBuf;

use super::ContainerError;
use crate::host::find;

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
