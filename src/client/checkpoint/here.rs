//! The fingerprint of this host, which takes a tenth of a second to find and is the same until the next boot, or until
//! a program is another one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::client::Client;
use crate::host;
use crate::spec::{FINGERPRINT_VERSION, Fingerprint};

/// Returns what is another one each time that this host is started.
pub(super) fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

impl Client {
    /// Returns the fingerprint of this host, or why it has none: what it would be of no use without.
    pub(super) async fn fingerprint(&self) -> Result<Fingerprint, String> {
        let criu = self.options.criu.as_deref().ok_or_else(|| "`criu` is not installed".to_owned())?;
        let runc = host::find("runc").ok_or_else(|| "`runc` is not installed".to_owned())?;
        let subject = subject(criu, &runc).map_err(|error| error.to_string())?;
        if let Some(known) = self.memo.get(&subject) {
            return Ok(known);
        }
        let found = host::fingerprint(Some(criu)).await.map_err(|error| error.to_string())?;
        self.memo.put(&subject, &found);
        Ok(found)
    }
}

/// Returns what the fingerprint cannot change without.
pub(super) fn subject(criu: &Path, runc: &Path) -> io::Result<[String; 7]> {
    Ok([
        "fingerprint".to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
        FINGERPRINT_VERSION.to_string(),
        boot()?,
        rustix::system::uname().release().to_string_lossy().into_owned(),
        program(criu)?,
        program(runc)?,
    ])
}

/// Returns what tells a program from what may come to lie at its place.
fn program(path: &Path) -> io::Result<String> {
    let found =
        fs::metadata(path).map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))?;
    let (seconds, nanoseconds) = (found.mtime(), found.mtime_nsec());
    Ok(format!("{} {} {} {seconds}.{nanoseconds}", path.display(), found.ino(), found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_or_changed_is_another_one() {
        let directory = tempfile::tempdir().expect("temporary");
        let path = directory.path().join("criu");
        fs::write(&path, "one").expect("temporary");
        let first = program(&path).expect("there");
        assert_eq!(program(&path).expect("there"), first);
        fs::write(&path, "longer").expect("temporary");
        let second = program(&path).expect("there");
        assert_ne!(first, second);
        let other = directory.path().join("other");
        fs::write(&other, "longer").expect("temporary");
        fs::rename(&other, &path).expect("temporary");
        assert_ne!(program(&path).expect("there"), second);
        assert!(program(&directory.path().join("absent")).expect_err("none").to_string().contains("absent`"));
    }
}
