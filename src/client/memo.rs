//! Small facts that cannot change once they are known, one file each.
//!
//! A memo that cannot be read is as good as none: it is learned again.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::DigestFunction;

/// Changes whenever a memo's form does: older ones are then not found.
const VERSION: u32 = 1;

/// A directory of memos.
#[derive(Debug, Clone)]
pub(super) struct Memo {
    directory: PathBuf,
}

impl Memo {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn path(&self, subject: &[impl AsRef<str>]) -> PathBuf {
        let subject: Vec<&str> = subject.iter().map(AsRef::as_ref).collect();
        let subject = serde_json::json!([VERSION, subject]).to_string();
        let hash = DigestFunction::Sha256.digest(subject.as_bytes()).hash();
        self.directory.join(&hash[..2]).join(&hash[2..])
    }

    /// Returns the file of a fact that has a form of its own.
    pub(super) fn file(&self, subject: &[impl AsRef<str>]) -> PathBuf {
        self.path(subject)
    }

    /// Returns what is known about a subject.
    pub(super) fn get<T: DeserializeOwned>(&self, subject: &[impl AsRef<str>]) -> Option<T> {
        serde_json::from_slice(&fs::read(self.path(subject)).ok()?).ok()
    }

    /// Notes a fact. Failing to is no harm but a later delay, and is told as such.
    pub(super) fn put<T: Serialize>(&self, subject: &[impl AsRef<str>], value: &T) {
        let path = self.path(subject);
        let write = || -> io::Result<()> {
            let parent = path.parent().unwrap_or(&self.directory);
            fs::create_dir_all(parent)?;
            let mut file = tempfile::NamedTempFile::new_in(parent)?;
            file.write_all(&serde_json::to_vec(value)?)?;
            file.persist(&path)?;
            Ok(())
        };
        if let Err(error) = write() {
            tracing::warn!(path = %path.display(), %error, "cannot note what was learned: it will be asked again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_by_their_whole_subject() {
        let directory = tempfile::tempdir().expect("temporary");
        let memo = Memo::new(directory.path().join("memo"));
        memo.put(&["a", "b"], &vec![1, 2]);
        assert_eq!(memo.get(&["a", "b"]), Some(vec![1, 2]));
        assert_eq!(memo.get::<Vec<i32>>(&["ab"]), None);
    }

    #[test]
    fn a_torn_memo_counts_as_unknown() {
        let directory = tempfile::tempdir().expect("temporary");
        let memo = Memo::new(directory.path().to_owned());
        memo.put(&["a"], &"text");
        fs::write(memo.path(&["a"]), "\"te").expect("temporary");
        assert_eq!(memo.get::<String>(&["a"]), None);
    }
}
