//! The ids of files that were read before: one that has not changed since is not read again.
//!
//! As in Git's index, a file has not changed whose device, number, size, time of modification and time of change are the
//! same: the last is the system's alone. One that was changed just before it was read is not noted, because a change in
//! the same tick of the clock would not be seen. Calls block.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::spec::GitId;

/// What the notes begin with.
const HEADER: &[u8] = b"envserve file ids 1\n";
/// Bytes of one note: the stamp, then the id.
const NOTE: usize = 7 * 8 + 20;
/// A file has to be at rest for so many seconds before what it holds is noted.
const REST_SECONDS: i64 = 2;

/// What a file has that changes whenever its content does.
type Stamp = [i64; 7];

/// The ids of the files of one directory.
pub(super) struct FileIds {
    path: PathBuf,
    known: HashMap<Stamp, GitId>,
    met: HashMap<Stamp, GitId>,
    /// Whether all that was met was known.
    complete: bool,
    begun: i64,
}

impl FileIds {
    /// Reads what was noted. Notes that cannot be read are as good as none.
    pub(super) fn read(path: &Path) -> Self {
        let known = fs::read(path).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
        Self { path: path.to_owned(), known, met: HashMap::new(), complete: true, begun: seconds_now() }
    }

    /// Returns the id of a file: the one that was noted, or that `read` returns.
    pub(super) fn id<E>(&mut self, found: &Metadata, read: impl FnOnce() -> Result<GitId, E>) -> Result<GitId, E> {
        let stamp = stamp(found);
        if let Some(id) = self.known.get(&stamp) {
            self.met.insert(stamp, *id);
            return Ok(*id);
        }
        let id = read()?;
        if found.ctime().max(found.mtime()) < self.begun - REST_SECONDS {
            self.complete = false;
            self.met.insert(stamp, id);
        }
        Ok(id)
    }

    /// Notes what was met, in place of what was noted before. Failing to is no harm but a later delay.
    pub(super) fn write(self) {
        if self.complete && self.met.len() == self.known.len() {
            return;
        }
        if let Err(error) = self.replace() {
            tracing::warn!(path = %self.path.display(), %error, "cannot note the ids of files: they will be read again");
        }
    }

    fn replace(&self) -> io::Result<()> {
        let parent = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(&bytes(&self.met))?;
        file.persist(&self.path)?;
        Ok(())
    }
}

fn stamp(found: &Metadata) -> Stamp {
    [
        found.dev().cast_signed(),
        found.ino().cast_signed(),
        found.size().cast_signed(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    ]
}

fn seconds_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Returns the form that is stored: header, notes, and the BLAKE3 hash of both, as a file may be torn when power fails.
fn bytes(notes: &HashMap<Stamp, GitId>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER.len() + notes.len() * NOTE + blake3::OUT_LEN);
    bytes.extend(HEADER);
    for (stamp, id) in notes {
        stamp.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend(id.as_bytes());
    }
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    bytes
}

/// Reads the form that is stored; `None` when it is not whole.
fn parse(bytes: &[u8]) -> Option<HashMap<Stamp, GitId>> {
    let (content, hash) = bytes.split_at_checked(bytes.len().checked_sub(blake3::OUT_LEN)?)?;
    if blake3::hash(content) != blake3::Hash::from_slice(hash).ok()? {
        return None;
    }
    let (notes, rest) = content.strip_prefix(HEADER)?.as_chunks::<NOTE>();
    rest.is_empty().then(|| notes.iter().map(note).collect())
}

fn note(bytes: &[u8; NOTE]) -> (Stamp, GitId) {
    let (stamp, id) = bytes.split_at(NOTE - 20);
    let mut numbers = Stamp::default();
    for (number, bytes) in numbers.iter_mut().zip(stamp.as_chunks::<8>().0) {
        *number = i64::from_le_bytes(*bytes);
    }
    (numbers, GitId::from_bytes(id.try_into().expect("a note ends with an id")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};

    use super::super::scan::{tree_id_of_path, tree_id_of_path_noting};
    use super::*;

    /// A directory with a file that is at rest, and notes of it.
    struct Fixture {
        directory: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let this = Self { directory: tempfile::tempdir().expect("temporary") };
            fs::create_dir(this.source()).expect("temporary");
            fs::write(this.file(), "before").expect("temporary");
            this
        }

        fn source(&self) -> PathBuf {
            self.directory.path().join("source")
        }

        fn file(&self) -> PathBuf {
            self.source().join("file")
        }

        fn notes(&self) -> PathBuf {
            self.directory.path().join("notes/here")
        }

        fn id(&self) -> GitId {
            tree_id_of_path_noting(&self.source(), &self.notes()).expect("readable")
        }

        /// Waits until what the file holds is noted.
        fn rest(&self) -> GitId {
            loop {
                let id = self.id();
                if self.notes().exists() {
                    return id;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    #[test]
    fn a_file_at_rest_is_not_read_again_and_a_changed_one_is() {
        let fixture = Fixture::new();
        let before = fixture.rest();
        assert_eq!(before, tree_id_of_path(&fixture.source()).expect("readable"));
        let mut ids = FileIds::read(&fixture.notes());
        let found = fs::metadata(fixture.file()).expect("there");
        ids.id(&found, || Err("it is read")).expect("it is noted");

        // As long as before, and with the time of before.
        fs::write(fixture.file(), "after!").expect("temporary");
        let time = Timespec { tv_sec: found.mtime(), tv_nsec: found.mtime_nsec() };
        let times = Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification: time };
        utimensat(CWD, fixture.file(), &times, AtFlags::empty()).expect("ours");
        assert_ne!(fixture.id(), before);
        assert_eq!(fixture.id(), tree_id_of_path(&fixture.source()).expect("readable"));
    }

    #[test]
    fn a_file_that_has_just_changed_is_not_noted() {
        let fixture = Fixture::new();
        fixture.rest();
        fs::write(fixture.file(), "after!").expect("temporary");
        fixture.id();
        let mut ids = FileIds::read(&fixture.notes());
        let found = fs::metadata(fixture.file()).expect("there");
        let fresh = found.ctime() >= seconds_now() - REST_SECONDS;
        assert!(ids.id(&found, || Err("it is read")).is_err() || !fresh);
    }

    #[test]
    fn torn_notes_count_as_none() {
        let fixture = Fixture::new();
        let before = fixture.rest();
        let whole = fs::read(fixture.notes()).expect("noted");
        let mut changed = whole.clone();
        changed[HEADER.len() + 60] ^= 1;
        for torn in [&whole[..whole.len() - 1], &whole[..10], &[], &changed] {
            fs::write(fixture.notes(), torn).expect("temporary");
            assert!(FileIds::read(&fixture.notes()).known.is_empty());
            assert_eq!(fixture.id(), before);
        }
        assert_eq!(fs::read(fixture.notes()).expect("noted again"), whole);
    }
}
