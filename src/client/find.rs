//! Programs of the host.

use std::fs::{self, Metadata};
use std::path::PathBuf;

/// Returns where a program lies.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let is_program = |path: &PathBuf| fs::metadata(path).is_ok_and(|found: Metadata| found.is_file());
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(is_program)
}
