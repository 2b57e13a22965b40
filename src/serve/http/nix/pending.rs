//! Archives that were uploaded and wait for their narinfo: how many, how large together, for how long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::super::room::{Limits, Place, Room, RoomError};

/// Most bytes of one archive, as it is sent and unpacked.
pub(super) const MAX_BYTES: u64 = 16 << 30;
/// What may wait or be on its way.
const LIMITS: Limits = Limits { bytes: MAX_BYTES, total: 64 << 30, count: 1000 };
/// How long an archive waits.
const PATIENCE: Duration = Duration::from_secs(600);

/// The archives that wait, by the names under which they were uploaded. Clones share them.
#[derive(Clone)]
pub(super) struct Pending {
    waiting: Arc<Mutex<HashMap<String, Arc<Upload>>>>,
    room: Room,
    patience: Duration,
}

/// An archive as it was sent.
pub(super) struct Upload {
    /// Its bytes.
    pub(super) file: NamedTempFile,
    /// Keeps the place until the file is gone.
    _place: Place,
    since: Instant,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self::with(LIMITS, PATIENCE)
    }

    fn with(limits: Limits, patience: Duration) -> Self {
        Self { waiting: Arc::default(), room: Room::new(limits), patience }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Arc<Upload>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a place for one more archive, which may have this length already.
    ///
    /// # Errors
    /// `TooLarge` for one that is; `Busy` when there is no room now.
    pub(super) fn place(&self, length: Option<u64>) -> Result<Place, RoomError> {
        // Their files are removed, and their places given back, without the lock.
        let patience = self.patience;
        let old: Vec<_> = self.waiting().extract_if(|_, upload| upload.since.elapsed() > patience).collect();
        drop(old);
        self.room.place(length)
    }

    /// Keeps an archive under its name; one that had the name is forgotten.
    pub(super) fn keep(&self, name: String, file: NamedTempFile, place: Place) {
        let upload = Arc::new(Upload { file, _place: place, since: Instant::now() });
        let before = self.waiting().insert(name, upload);
        drop(before);
    }

    /// Returns the archive of a name.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Upload>> {
        self.waiting().get(name).cloned()
    }

    /// Forgets an archive, unless another was uploaded under its name meanwhile.
    pub(super) fn forget(&self, name: &str, upload: &Arc<Upload>) {
        let mut waiting = self.waiting();
        let same = waiting.get(name).is_some_and(|waiting| Arc::ptr_eq(waiting, upload));
        let removed = if same { waiting.remove(name) } else { None };
        drop(waiting);
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(patience: Duration) -> Pending {
        Pending::with(Limits { bytes: 10, total: 15, count: 2 }, patience)
    }

    fn keep(pending: &Pending, name: &str, bytes: u64) -> Result<(), RoomError> {
        let mut place = pending.place(None)?;
        place.grow(bytes)?;
        pending.keep(name.to_owned(), NamedTempFile::new().expect("temporary"), place);
        Ok(())
    }

    #[test]
    fn one_archive_and_all_together_are_bounded() {
        let pending = pending(PATIENCE);
        assert!(matches!(pending.place(Some(11)), Err(RoomError::TooLarge { limit: 10 })));
        assert!(matches!(keep(&pending, "a", 11), Err(RoomError::TooLarge { limit: 10 })));
        keep(&pending, "a", 10).expect("room");
        assert!(matches!(keep(&pending, "b", 6), Err(RoomError::Busy)));
        keep(&pending, "b", 5).expect("room");
        assert!(matches!(keep(&pending, "c", 0), Err(RoomError::Busy)));
        let upload = pending.get("a").expect("kept");
        pending.forget("a", &upload);
        assert!(pending.get("a").is_none());
        // Who unpacks it now still has its bytes.
        assert!(matches!(keep(&pending, "c", 6), Err(RoomError::Busy)));
        drop(upload);
        keep(&pending, "c", 6).expect("room");
    }

    #[test]
    fn an_archive_that_nobody_registers_is_forgotten() {
        let pending = pending(Duration::ZERO);
        keep(&pending, "a", 10).expect("room");
        let path = pending.get("a").expect("kept").file.path().to_owned();
        assert!(path.exists());
        keep(&pending, "b", 10).expect("the old one is gone");
        assert!(pending.get("a").is_none() && !path.exists());
    }

    #[test]
    fn another_upload_of_the_same_name_is_not_forgotten() {
        let pending = pending(PATIENCE);
        keep(&pending, "a", 1).expect("room");
        let first = pending.get("a").expect("kept");
        keep(&pending, "a", 1).expect("room");
        pending.forget("a", &first);
        assert!(pending.get("a").is_some());
    }
}
