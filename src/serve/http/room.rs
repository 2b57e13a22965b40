//! How much clients may have uploaded that is not taken yet: how many things, how large each and together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Most bytes of one thing.
    pub(super) bytes: u64,
    /// Most bytes of all.
    pub(super) total: u64,
    /// Most things.
    pub(super) count: usize,
}

/// Why there is no room.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoomError {
    /// Too many bytes for one thing.
    #[error("more than {limit} bytes are not taken")]
    TooLarge { limit: u64 },
    /// Too much is being uploaded at the moment.
    #[error("too much is being uploaded at the moment")]
    Busy,
}

/// Room for what is uploaded. Clones share it.
#[derive(Clone)]
pub(super) struct Room {
    used: Arc<Mutex<Used>>,
    limits: Limits,
}

#[derive(Default)]
struct Used {
    total: u64,
    count: usize,
}

/// Room for one thing, given back when it is dropped.
pub(super) struct Place {
    room: Room,
    bytes: u64,
}

impl Room {
    pub(super) fn new(limits: Limits) -> Self {
        Self { used: Arc::default(), limits }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a place for one more thing, which may have this length already.
    ///
    /// # Errors
    /// `TooLarge` for one that is; `Busy` when there is no room now.
    pub(super) fn place(&self, length: Option<u64>) -> Result<Place, RoomError> {
        let Limits { bytes, total, count } = self.limits;
        let length = length.unwrap_or_default();
        if length > bytes {
            return Err(RoomError::TooLarge { limit: bytes });
        }
        let mut used = self.used();
        if used.count >= count || used.total.saturating_add(length) > total {
            return Err(RoomError::Busy);
        }
        used.count += 1;
        Ok(Place { room: self.clone(), bytes: 0 })
    }
}

impl Place {
    /// Takes room for more bytes.
    ///
    /// # Errors
    /// As `Room::place`.
    pub(super) fn grow(&mut self, more: u64) -> Result<(), RoomError> {
        let Limits { bytes, total, .. } = self.room.limits;
        if self.bytes.saturating_add(more) > bytes {
            return Err(RoomError::TooLarge { limit: bytes });
        }
        let mut used = self.room.used();
        if used.total.saturating_add(more) > total {
            return Err(RoomError::Busy);
        }
        used.total += more;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut used = self.room.used();
        used.total -= self.bytes;
        used.count -= 1;
    }
}
