//! Finds the fingerprint of this host.
//!
//! It is the same for every process on a host, from one boot to the next, until its kernel, CRIU or runc is another
//! one.

use std::path::Path;

use tokio::process::Command;

use super::command::{CommandError, SHORT, run};
use super::cpu::{Described, Measured};
use super::{Criu, FIRST_ID, IDS, Lack, programs};
use crate::spec::{FINGERPRINT_VERSION, Fingerprint};

/// What CRIU calls the file that it writes.
const CPU_FILE: &str = "cpuinfo.img";

/// Why a host has no fingerprint.
#[derive(Debug, thiserror::Error)]
pub enum FingerprintError {
    /// A program is not there, or not one that can work.
    #[error("{reason}")]
    Lacks {
        /// Which, and why.
        reason: String,
        /// How to get it.
        remedy: String,
    },
    /// CRIU does not say what the processor is.
    #[error("cannot find out by CRIU what the processor is: {reason}")]
    Cpu {
        /// Why not.
        reason: String,
    },
}

impl FingerprintError {
    /// Returns what can be done about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Lacks { remedy, .. } => Some(remedy),
            Self::Cpu { .. } => None,
        }
    }
}

/// Finds that of this host, with the CRIU that is named or the one in `PATH`.
///
/// # Errors
/// When CRIU or runc are not there.
pub async fn fingerprint(criu: Option<&Path>) -> Result<Fingerprint, FingerprintError> {
    let lacks = |Lack { reason, remedy }| FingerprintError::Lacks { reason, remedy };
    let runc = programs::need("runc", "runc").map_err(lacks)?;
    let criu = Criu::find(criu).await.map_err(lacks)?;
    let runc_version = programs::version(&runc, "runc").await.map_err(lacks)?;
    let described = Described::parse(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
    let measured = measure(&criu.program).await?;
    Ok(Fingerprint {
        version: FINGERPRINT_VERSION,
        cpu_vendor: described.vendor,
        cpu_family: described.family,
        cpu_model: described.model,
        cpu_flags: described.flags,
        cpu_capabilities: measured.capabilities,
        xsave_features: measured.xsave_features,
        xsave_size: measured.xsave_size,
        kernel_release: rustix::system::uname().release().to_string_lossy().into_owned(),
        criu_version: criu.version,
        runc_version: runc_version.trim_start_matches("runc version ").to_owned(),
        user_map: format!("0 {FIRST_ID} {IDS}"),
    })
}

/// Has CRIU write down what the processor is.
async fn measure(criu: &Path) -> Result<Measured, FingerprintError> {
    let failed = |reason: String| FingerprintError::Cpu { reason };
    let directory = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(criu);
    command.args(["cpuinfo", "dump", "--images-dir"]).arg(directory.path()).current_dir(directory.path());
    let ran = run("criu cpuinfo dump", &mut command, SHORT).await;
    ran.map_err(|error: CommandError| failed(error.to_string()))?;
    let file = std::fs::read(directory.path().join(CPU_FILE)).map_err(|error| failed(error.to_string()))?;
    Measured::parse(&file).ok_or_else(|| failed(format!("`{CPU_FILE}` is not of the form that is known")))
}
