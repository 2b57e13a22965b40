//! The pins of a daemon: at most so many entries are kept under names.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;

use super::cache::now;
use super::resolve::Resolver;
use crate::environment::BuildError;
use crate::serve::admission::Rights;
use crate::serve::wanted::Wanted;
use crate::spec::{EnvKey, MAX_KEEP, PinName};
use crate::store::{Database, Pinned, PinnedEntries, StoreError};

/// Most entries that are kept, under all names together.
const MAX_PINNED: usize = 100_000;

/// Why an entry is not kept, or not let go.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// What is there cannot be told, or may not be had.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Nothing is kept for so long.
    #[error("nothing is kept for {seconds} s: 1 s to {} days are expected", MAX_KEEP.as_secs() / 86_400)]
    Time {
        /// What was given.
        seconds: i64,
    },
    /// There is nothing to keep.
    #[error("there is no whole entry for key `{key}`: have it built first")]
    NoEntry {
        /// The key.
        key: EnvKey,
    },
    /// As many entries are kept as may be.
    #[error("{MAX_PINNED} entries are kept, which is the most: drop a pin that is not needed")]
    Full,
    /// Nothing is kept under this name.
    #[error("there is no pin `{name}`")]
    Unknown {
        /// The name.
        name: PinName,
    },
}

impl From<StoreError> for PinsError {
    fn from(error: StoreError) -> Self {
        Self::Build(error.into())
    }
}

/// The pins, with how many records there are as far as that was counted.
pub(super) struct Pins {
    table: PinnedEntries,
    records: Mutex<Option<usize>>,
}

/// An entry that is kept.
#[derive(Debug)]
pub struct Kept {
    /// Under which name, and until when.
    pub pinned: Pinned,
    /// What messages call the environment, where that is remembered.
    pub environment: Option<String>,
}

impl Pins {
    pub(super) fn new(database: Database) -> Self {
        Self { table: PinnedEntries::new(database), records: Mutex::default() }
    }

    /// Writes a record. What has ended makes room.
    async fn put(&self, pinned: &Pinned) -> Result<(), PinsError> {
        let mut records = self.records.lock().await;
        if self.table.has(pinned).await? {
            return Ok(self.table.put(pinned).await?);
        }
        let count = match *records {
            Some(count) if count < MAX_PINNED => count,
            _ => self.table.remove_ended(now()).await?,
        };
        *records = Some(count);
        if count >= MAX_PINNED {
            return Err(PinsError::Full);
        }
        self.table.put(pinned).await?;
        *records = Some(count + 1);
        Ok(())
    }

    async fn remove(&self, name: &PinName) -> Result<usize, StoreError> {
        let mut records = self.records.lock().await;
        let (removed, kept) = self.table.remove(name, now()).await?;
        *records = records.map(|count| count.saturating_sub(removed));
        Ok(kept)
    }
}

impl Resolver {
    /// Keeps a whole entry under a name for so long from now on, and returns until when. What was asked for last counts,
    /// be it shorter.
    ///
    /// # Errors
    /// When there is no such entry, the time is none, or too many entries are kept; `CheckpointDenied` for those who may
    /// not have it.
    pub(crate) async fn keep(
        &self,
        wanted: &Wanted,
        name: PinName,
        seconds: i64,
        rights: Rights,
    ) -> Result<i64, PinsError> {
        let time = u64::try_from(seconds).ok().map(Duration::from_secs);
        if time.is_none_or(|time| time.is_zero() || time > MAX_KEEP) {
            return Err(PinsError::Time { seconds });
        }
        // Its lease keeps the entry until the record is written.
        let shard = self.entry(wanted, rights).await?.ok_or(PinsError::NoEntry { key: wanted.key })?;
        let expires = now().saturating_add(seconds);
        self.pins().put(&Pinned { name, shard, key: wanted.key, expires }).await?;
        Ok(expires)
    }

    /// Returns the entries that are kept now, in the order of the names.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn kept(&self) -> Result<Vec<Kept>, StoreError> {
        let pinned = self.pins().table.list(now()).await?;
        let known: HashMap<EnvKey, String> = if pinned.is_empty() { HashMap::new() } else { self.targets().await? };
        let kept = |pinned: Pinned| Kept { environment: known.get(&pinned.key).cloned(), pinned };
        Ok(pinned.into_iter().map(kept).collect())
    }

    /// Lets go what is kept under a name, and returns how many entries that were.
    ///
    /// # Errors
    /// `Unknown` when there is none.
    pub async fn let_go(&self, name: &PinName) -> Result<usize, PinsError> {
        match self.pins().remove(name).await? {
            0 => Err(PinsError::Unknown { name: name.clone() }),
            kept => Ok(kept),
        }
    }
}
