//! The programs of the host by which containers run.

use std::path::{Path, PathBuf};

use super::ContainerError;
use crate::host::{Criu, find};

/// Programs that are needed for containers.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) runc: PathBuf,
    pub(crate) setpriv: PathBuf,
    /// By which memory is written to disk and woken up. Which version it is, a fingerprint tells.
    criu: Option<PathBuf>,
}

impl Programs {
    /// Looks for them.
    ///
    /// # Errors
    /// `Lacks` when one is not installed.
    pub(crate) fn find() -> Result<Self, ContainerError> {
        let get = |program, package| find(program).ok_or(ContainerError::Lacks { program, package });
        Ok(Self { runc: get("runc", "runc")?, setpriv: get("setpriv", "util-linux")?, criu: Criu::named() })
    }

    /// Returns CRIU.
    ///
    /// # Errors
    /// `Lacks` when it is not installed.
    pub(super) fn criu(&self) -> Result<&Path, ContainerError> {
        self.criu.as_deref().ok_or(ContainerError::Lacks { program: "criu", package: "criu" })
    }
}
