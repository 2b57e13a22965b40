//! The files with the report, which are there before the work begins: one that cannot be written is told of then.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::error::PrefillError;
use super::junit::junit;
use super::report::Report;
use crate::cli::output;

/// Of a file that everybody may read and write whom the mask of the process lets.
const MODE: u32 = 0o666;

/// Where the report goes in the end.
pub(super) struct Files(Vec<(PathBuf, NamedTempFile)>);

impl Files {
    /// Makes a file beside each that is wanted.
    ///
    /// # Errors
    /// When one cannot be made, or something else stands at its place.
    pub(super) fn make(paths: &[PathBuf]) -> Result<Self, PrefillError> {
        let file = |path: &PathBuf| {
            let failed = |source| PrefillError::Report { path: path.clone(), source };
            match std::fs::metadata(path) {
                Ok(found) if !found.is_file() => return Err(PrefillError::NoFile { path: path.clone() }),
                _ => {}
            }
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mode = std::fs::Permissions::from_mode(MODE);
            let file = tempfile::Builder::new().permissions(mode).tempfile_in(directory).map_err(failed)?;
            Ok((path.clone(), file))
        };
        paths.iter().map(file).collect::<Result<_, _>>().map(Self)
    }

    /// Writes the report, and puts each file in its place at once.
    ///
    /// # Errors
    /// When one cannot be written; the others are.
    pub(super) fn write(self, report: &Report) -> Result<(), PrefillError> {
        let write = |(path, mut file): (PathBuf, NamedTempFile)| {
            let failed = |source| PrefillError::Report { path: path.clone(), source };
            let text = if is_junit(&path) { junit(report) } else { json(report) };
            file.write_all(text.as_bytes()).map_err(failed)?;
            let failed = |source| PrefillError::Report { path: path.clone(), source };
            file.persist(&path).map(drop).map_err(|error| failed(error.error))
        };
        let written: Vec<_> = self.0.into_iter().map(write).collect();
        written.into_iter().collect()
    }
}

/// Returns the report as JSON.
pub(super) fn json(report: &Report) -> String {
    format!("{}\n", output::value(report))
}

fn is_junit(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}
