//! The time of change of files, which is the same for all: second 1 of 1970, as Nix has it.
//!
//! A blob has no time, and a file of it is shared by hard links. With one time for all, what is built from a file or
//! keeps the time of one does not depend on when the blob arrived.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Stat, Timespec, Timestamps, UTIME_OMIT, futimens, utimensat};
use rustix::io::Errno;

/// The second since 1970.
const SETTLED_SECOND: i64 = 1;

/// The time of access, which says when a blob was used, stays.
const SETTLED: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    last_modification: Timespec { tv_sec: SETTLED_SECOND, tv_nsec: 0 },
};

/// Gives an open file the time that all have. What is written later changes it.
pub(crate) fn settle(file: &File) -> io::Result<()> {
    Ok(futimens(file, &SETTLED)?)
}

/// Gives a file, a directory or a symlink itself the time that all have.
pub(crate) fn settle_path(path: &Path) -> io::Result<()> {
    Ok(utimensat(CWD, path, &SETTLED, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Says whether something has the time that all have.
pub(crate) fn is_settled(found: &Metadata) -> bool {
    (found.mtime(), found.mtime_nsec()) == (SETTLED_SECOND, 0)
}

/// Does so for a file of an earlier version, which has the time at which it was written. Another user's stays as it is.
pub(super) fn settle_older(path: &Path, found: &Metadata) -> io::Result<()> {
    if is_settled(found) {
        return Ok(());
    }
    ours(utimensat(CWD, path, &SETTLED, AtFlags::SYMLINK_NOFOLLOW))
}

/// The same for a file in an open directory.
pub(super) fn settle_older_at(directory: &File, name: &str, found: &Stat) -> io::Result<()> {
    if (found.st_mtime, found.st_mtime_nsec) == (SETTLED_SECOND, 0) {
        return Ok(());
    }
    ours(utimensat(directory, name, &SETTLED, AtFlags::SYMLINK_NOFOLLOW))
}

fn ours(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::PERM) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::{FileBlobStore, Linker};
    use super::*;
    use crate::digest::{Digest, DigestFunction};

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    fn assert_settled(path: &Path) {
        let found = std::fs::symlink_metadata(path).expect("there");
        assert_eq!((found.mtime(), found.mtime_nsec()), (1, 0), "{}", path.display());
    }

    #[test]
    fn every_file_of_a_store_has_the_same_time_however_it_came() {
        let directory = tempfile::tempdir().expect("temporary");
        let store = FileBlobStore::open(directory.path()).expect("new");
        let put = |text: &str| FUNCTION.digest(text.as_bytes());
        let (bytes, stream, taken, written) = (put("bytes"), put("stream"), put("taken"), put("written"));
        store.write(&bytes, b"bytes").expect("right");
        store.write_from(&stream, &b"stream"[..]).expect("right");
        let path = directory.path().join("taken");
        std::fs::write(&path, "taken").expect("temporary");
        store.take_in(&taken, &path, false).expect("on the same file system");
        let linker = Linker::open(store.clone(), FUNCTION).expect("open");
        let at = File::open(directory.path()).expect("open");
        linker.write(&written, b"written", true, &at, directory.path(), "written").expect("new");
        store.write_new(b"x", false, &directory.path().join("new")).expect("new");
        assert_settled(&directory.path().join("new"));
        let executable = |digest: &Digest| *digest == written;
        for digest in [bytes, stream, taken, written] {
            assert_settled(&store.path(&digest, executable(&digest)));
        }
    }

    #[test]
    fn a_file_of_an_earlier_version_gets_it_when_it_is_linked() {
        let directory = tempfile::tempdir().expect("temporary");
        let store = FileBlobStore::open(directory.path()).expect("new");
        let digest = FUNCTION.digest(b"old");
        store.write(&digest, b"old").expect("right");
        let age = || {
            let file = File::open(store.path(&digest, false)).expect("there");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1000)).expect("ours");
        };
        age();
        let linker = Linker::open(store.clone(), FUNCTION).expect("open");
        let at = File::open(directory.path()).expect("open");
        assert!(linker.link(&digest, false, &at, directory.path(), "one").expect("free"));
        assert_settled(&directory.path().join("one"));
        age();
        assert!(store.link_to(&digest, false, &directory.path().join("two")).expect("free"));
        assert_settled(&directory.path().join("one"));
    }
}
