//! The files between runc and CRIU: the program where runc looks for it, its settings, and what both say when they fail.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Deserialize;

use super::command::shown;

/// What CRIU always says where a process may not raise its limits, and means nothing.
const HARMLESS: &str = "RLIMIT_NOFILE for self";
/// Nobody is connected who would have to be kept out meanwhile.
pub(crate) const NO_LOCK: &str = "network-lock skip\n";

/// What runc logs, as far as it is told.
#[derive(Deserialize)]
struct Record {
    msg: String,
}

/// Makes a directory for `PATH` in which runc finds CRIU, whatever that is called.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn offer(criu: &Path, directory: &Path) -> io::Result<()> {
    fs::create_dir(directory)?;
    let program = directory.join("criu");
    let quoted = criu.display().to_string().replace('\'', r"'\''");
    fs::write(&program, format!("#!/bin/sh\nexec '{quoted}' \"$@\"\n"))?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))
}

/// Returns what CRIU says that failed first, or what runc says last.
pub(crate) fn reason(of_criu: Option<&Path>, of_runc: &Path) -> String {
    let read = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let of_criu = of_criu.and_then(|path| read(path).ok());
    let is_error = |line: &&str| line.contains("Error") && !line.contains(HARMLESS);
    if let Some(line) = of_criu.as_deref().and_then(|text| text.lines().find(is_error)) {
        return shown(line);
    }
    let of_runc = read(of_runc).unwrap_or_default();
    let mut records = of_runc.lines().rev().filter_map(|line| serde_json::from_str::<Record>(line).ok());
    let last = records.next().map_or_else(|| "it does not say why".to_owned(), |record| record.msg);
    shown(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_real_error_of_criu_is_told_or_else_the_last_word_of_runc() {
        let directory = tempfile::tempdir().expect("temporary");
        let (criu, runc) = (directory.path().join("restore.log"), directory.path().join("runc.log"));
        assert_eq!(reason(Some(&criu), &runc), "it does not say why");
        fs::write(&runc, "{\"msg\": \"first\"}\nno JSON\n{\"msg\": \"last\"}\n").expect("temporary");
        assert_eq!(reason(Some(&criu), &runc), "last");
        let harmless = "(0.1) Error (criu/util.c:1): rlimit: Can't setup RLIMIT_NOFILE for self\n";
        fs::write(&criu, format!("{harmless}(0.2) good\n")).expect("temporary");
        assert_eq!(reason(Some(&criu), &runc), "last");
        fs::write(&criu, format!("{harmless}(0.2) Error: one\n(0.3) Error: two\n")).expect("temporary");
        assert_eq!(reason(Some(&criu), &runc), "(0.2) Error: one");
    }
}
