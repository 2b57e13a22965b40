//! Pins: names under which entries are kept, each entry until a time of its own.
//!
//! ```text
//! table `pins`: NAME/SHARD/KEY → end in seconds since 1970, decimal
//! ```
//!
//! What a collection keeps for them is worked out with the leases (leases.rs).

use super::database::Table;
use super::entries::parse_record;
use super::{Database, StoreError, blocking};
use crate::spec::{EnvKey, PinName, Shard};

/// An entry that is kept under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The name.
    pub name: PinName,
    /// Where the key is looked up.
    pub shard: Shard,
    /// The key of the entry.
    pub key: EnvKey,
    /// Until when, in seconds since 1970.
    pub expires: i64,
}

impl Pinned {
    fn record(&self) -> Vec<u8> {
        format!("{}/{}/{}", self.name, self.shard, self.key).into_bytes()
    }

    /// Returns what a record says; `None` when it is none of this version.
    fn parse(record: &[u8], expires: &[u8]) -> Option<Self> {
        let (name, entry) = split(record)?;
        let name = std::str::from_utf8(name).ok()?.parse().ok()?;
        let (shard, key) = parse_record(entry)?;
        Some(Self { name, shard, key, expires: end(expires)? })
    }
}

/// The pins of a database.
#[derive(Clone)]
pub struct PinnedEntries {
    database: Database,
}

impl PinnedEntries {
    /// Opens the table.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Says whether there is a record of this entry under this name, whatever its end.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn has(&self, pinned: &Pinned) -> Result<bool, StoreError> {
        Ok(self.database.get(Table::Pins, pinned.record()).await?.is_some())
    }

    /// Sets until when an entry is kept under a name.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn put(&self, pinned: &Pinned) -> Result<(), StoreError> {
        self.database.put(Table::Pins, pinned.record(), pinned.expires.to_string().into_bytes()).await
    }

    /// Returns what is kept at a time, in the order of names.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn list(&self, at: i64) -> Result<Vec<Pinned>, StoreError> {
        let database = self.database.clone();
        blocking(move || {
            let mut kept = Vec::new();
            database.scan(Table::Pins, |record, expires| {
                kept.extend(Pinned::parse(record, expires).filter(|pinned| pinned.expires > at));
                Ok(())
            })?;
            Ok(kept)
        })
        .await
    }

    /// Lets go what is kept under a name, and returns how many records that were, and how many of them had not ended.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn remove(&self, name: &PinName, at: i64) -> Result<(usize, usize), StoreError> {
        let prefix = format!("{name}/").into_bytes();
        let records = self.database.starting(Table::Pins, prefix, None, usize::MAX).await?;
        let kept = records.iter().filter(|(_, expires)| !has_ended(expires, at)).count();
        let removed = records.len();
        self.database.delete_all(Table::Pins, records.into_iter().map(|(record, _)| record).collect()).await?;
        Ok((removed, kept))
    }

    /// Removes the records that have ended, and returns how many are left.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn remove_ended(&self, at: i64) -> Result<usize, StoreError> {
        let database = self.database.clone();
        blocking(move || Ok(remove_ended(&database, at)?.1)).await
    }
}

/// Removes the records that have ended, and returns how many these are, and how many are left. Blocks.
///
/// # Errors
/// When the database cannot write.
pub(super) fn remove_ended(database: &Database, at: i64) -> Result<(u64, usize), StoreError> {
    let (mut changes, mut ended, mut left) = (database.changes(), 0, 0);
    database.scan(Table::Pins, |record, expires| {
        if has_ended(expires, at) {
            changes.delete(Table::Pins, record);
            ended += 1;
        } else {
            left += 1;
        }
        Ok(())
    })?;
    database.apply(changes)?;
    Ok((ended, left))
}

/// Returns the record of the entry that a pin is about; `None` when its end has come. What cannot be read keeps its
/// entry: it is not known to have ended.
pub(super) fn kept<'a>(record: &'a [u8], expires: &[u8], at: i64) -> Option<&'a [u8]> {
    if has_ended(expires, at) { None } else { split(record).map(|(_, entry)| entry) }
}

fn has_ended(expires: &[u8], at: i64) -> bool {
    end(expires).is_some_and(|expires| expires <= at)
}

fn end(expires: &[u8]) -> Option<i64> {
    std::str::from_utf8(expires).ok()?.parse().ok()
}

fn split(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = record.iter().position(|byte| *byte == b'/')?;
    Some((&record[..slash], &record[slash + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestFunction;

    fn pinned(name: &str, key: &str, expires: i64) -> Pinned {
        let digest = |text: &str| DigestFunction::Sha256.digest(text.as_bytes());
        let (shard, key) = (Shard::try_from(digest("s")).unwrap(), EnvKey::try_from(digest(key)).unwrap());
        Pinned { name: name.parse().unwrap(), shard, key, expires }
    }

    #[tokio::test]
    async fn an_entry_is_kept_until_its_own_end_and_the_last_word_counts() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path(), 12 << 20).unwrap();
        let pins = PinnedEntries::new(database.clone());
        for one in [pinned("a", "k", 100), pinned("a", "l", 10), pinned("a.b", "k", 30), pinned("a", "k", 20)] {
            pins.put(&one).await.unwrap();
        }
        assert_eq!(pins.list(10).await.unwrap().len(), 2);
        assert_eq!(pins.list(20).await.unwrap(), [pinned("a.b", "k", 30)]);
        assert_eq!(pins.remove_ended(10).await.unwrap(), 2);
        assert!(!pins.has(&pinned("a", "l", 0)).await.unwrap());
        assert_eq!(pins.remove(&"a".parse().unwrap(), 10).await.unwrap(), (1, 1), "not that of `a.b`");
        assert_eq!(pins.list(0).await.unwrap(), [pinned("a.b", "k", 30)]);
    }

    #[test]
    fn what_cannot_be_read_keeps_its_entry() {
        assert_eq!(kept(b"a/entry/1", b"?", 10), Some(&b"entry/1"[..]));
        assert_eq!(kept(b"a/entry/1", b"11", 10), Some(&b"entry/1"[..]));
        assert_eq!(kept(b"a/entry/1", b"10", 10), None);
    }
}
