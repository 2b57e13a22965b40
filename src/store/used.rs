//! When a blob was last used: what decides which are evicted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time, in whole seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u32);

impl Moment {
    /// Returns the present.
    pub(super) fn now() -> Self {
        Self::of(SystemTime::now())
    }

    /// Returns the moment of a time of the system.
    pub(super) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
    }

    /// Returns the moment that lies so much earlier.
    pub(super) fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)))
    }

    /// Returns the seconds since the epoch.
    pub(super) fn seconds(self) -> i64 {
        self.0.into()
    }

    /// Returns the form that is stored.
    pub(super) fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    /// Reads the form that is stored. What has another is as old as can be.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.try_into().map_or(0, u32::from_be_bytes))
    }
}

/// When a use is noted: not each time, for that would be a write for every read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refresh {
    /// The present.
    pub(super) now: Moment,
    /// What was noted later than this stands.
    pub(super) stale: Moment,
}

impl Refresh {
    /// Returns when to note a use so that what was noted is never more than half a grace period off.
    pub(super) fn within(grace: Duration) -> Self {
        let now = Moment::now();
        Self { now, stale: now.before(grace / 2) }
    }

    /// Says whether a use is to be noted that was last noted then.
    pub(super) fn is_due(self, noted: Moment) -> bool {
        noted <= self.stale && noted < self.now
    }
}
