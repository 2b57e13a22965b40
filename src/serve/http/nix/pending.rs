//! Archives that were uploaded and wait for their narinfo: how many, how large together, for how long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::error::CacheError;

/// Most bytes of one archive, as it is sent and unpacked.
pub(super) const MAX_BYTES: u64 = 16 << 30;
/// Most bytes of all archives that wait or are on their way.
const MAX_TOTAL: u64 = 64 << 30;
/// Most archives that wait or are on their way.
const MAX_COUNT: usize = 1000;
/// How long an archive waits.
const PATIENCE: Duration = Duration::from_secs(600);

/// The archives that wait. Clones share them.
#[derive(Clone)]
pub(super) struct Pending {
    inner: Arc<Mutex<Inner>>,
    limits: Limits,
}

/// How much may wait, and for how long.
#[derive(Debug, Clone, Copy)]
struct Limits {
    bytes: u64,
    total: u64,
    count: usize,
    patience: Duration,
}

#[derive(Default)]
struct Inner {
    /// By the names under which they were uploaded.
    waiting: HashMap<String, Arc<Upload>>,
    total: u64,
    count: usize,
}

/// An archive as it was sent.
pub(super) struct Upload {
    /// Its bytes.
    pub(super) file: NamedTempFile,
    /// Keeps the place until the file is gone.
    _place: Place,
    since: Instant,
}

/// Room for one archive, given back when it is dropped.
pub(super) struct Place {
    pending: Pending,
    bytes: u64,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self::with(Limits { bytes: MAX_BYTES, total: MAX_TOTAL, count: MAX_COUNT, patience: PATIENCE })
    }

    fn with(limits: Limits) -> Self {
        Self { inner: Arc::default(), limits }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a place for one more archive, which may have this length already.
    ///
    /// # Errors
    /// `TooLarge` for one that is; `Busy` when there is no room now.
    pub(super) fn place(&self, length: Option<u64>) -> Result<Place, CacheError> {
        let Limits { bytes, total, count, patience } = self.limits;
        let length = length.unwrap_or_default();
        if length > bytes {
            return Err(CacheError::TooLarge { limit: bytes });
        }
        // Their files are removed, and their places given back, without the lock.
        let mut inner = self.inner();
        let old: Vec<_> = inner.waiting.extract_if(|_, upload| upload.since.elapsed() > patience).collect();
        drop(inner);
        drop(old);
        inner = self.inner();
        if inner.count >= count || inner.total.saturating_add(length) > total {
            return Err(CacheError::Busy);
        }
        inner.count += 1;
        Ok(Place { pending: self.clone(), bytes: 0 })
    }

    /// Keeps an archive under its name; one that had the name is forgotten.
    pub(super) fn keep(&self, name: String, file: NamedTempFile, place: Place) {
        let upload = Arc::new(Upload { file, _place: place, since: Instant::now() });
        let before = self.inner().waiting.insert(name, upload);
        drop(before);
    }

    /// Returns the archive of a name.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Upload>> {
        self.inner().waiting.get(name).cloned()
    }

    /// Forgets an archive, unless another was uploaded under its name meanwhile.
    pub(super) fn forget(&self, name: &str, upload: &Arc<Upload>) {
        let mut inner = self.inner();
        let same = inner.waiting.get(name).is_some_and(|waiting| Arc::ptr_eq(waiting, upload));
        let removed = if same { inner.waiting.remove(name) } else { None };
        drop(inner);
        drop(removed);
    }
}

impl Place {
    /// Takes room for more bytes.
    ///
    /// # Errors
    /// As `Pending::place`.
    pub(super) fn grow(&mut self, more: u64) -> Result<(), CacheError> {
        let Limits { bytes, total, .. } = self.pending.limits;
        if self.bytes + more > bytes {
            return Err(CacheError::TooLarge { limit: bytes });
        }
        let mut inner = self.pending.inner();
        if inner.total + more > total {
            return Err(CacheError::Busy);
        }
        inner.total += more;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.pending.inner();
        inner.total -= self.bytes;
        inner.count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(patience: Duration) -> Pending {
        Pending::with(Limits { bytes: 10, total: 15, count: 2, patience })
    }

    fn keep(pending: &Pending, name: &str, bytes: u64) -> Result<(), CacheError> {
        let mut place = pending.place(None)?;
        place.grow(bytes)?;
        pending.keep(name.to_owned(), NamedTempFile::new().expect("temporary"), place);
        Ok(())
    }

    #[test]
    fn one_archive_and_all_together_are_bounded() {
        let pending = pending(PATIENCE);
        assert!(matches!(pending.place(Some(11)), Err(CacheError::TooLarge { limit: 10 })));
        assert!(matches!(keep(&pending, "a", 11), Err(CacheError::TooLarge { limit: 10 })));
        keep(&pending, "a", 10).expect("room");
        assert!(matches!(keep(&pending, "b", 6), Err(CacheError::Busy)));
        keep(&pending, "b", 5).expect("room");
        assert!(matches!(keep(&pending, "c", 0), Err(CacheError::Busy)));
        let upload = pending.get("a").expect("kept");
        pending.forget("a", &upload);
        assert!(pending.get("a").is_none());
        // Who unpacks it now still has its bytes.
        assert!(matches!(keep(&pending, "c", 6), Err(CacheError::Busy)));
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
