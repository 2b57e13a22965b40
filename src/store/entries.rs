//! The keyed tables over the database: environments, actions.

use std::collections::HashSet;

use async_trait::async_trait;
use prost::Message;

use super::{Database, StoreError, Table, blocking, pinned};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::spec::{EnvKey, Shard};

/// The keyed cache of environments: shard and key → descriptor, with the end of its lease.
#[derive(Clone)]
pub struct Entries {
    database: Database,
    shard: Shard,
}

impl Entries {
    /// Opens the part of the cache that belongs to a shard.
    pub fn new(database: Database, shard: Shard) -> Self {
        Self { database, shard }
    }

    fn record(&self, key: &EnvKey) -> Vec<u8> {
        format!("{}/{key}", self.shard).into_bytes()
    }

    /// Returns the canonical descriptor of a key.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn get(&self, key: &EnvKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.database.get(Table::Entries, self.record(key)).await
    }

    /// Sets the descriptor of a key. Only the server calls this, after its own build.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn put(&self, key: &EnvKey, descriptor: Vec<u8>) -> Result<(), StoreError> {
        self.database.put(Table::Entries, self.record(key), descriptor).await
    }

    /// Returns the end of the lease of a key, in seconds since the epoch.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn lease(&self, key: &EnvKey) -> Result<Option<i64>, StoreError> {
        let Some(record) = self.database.get(Table::Leases, self.record(key)).await? else { return Ok(None) };
        let bytes = record.try_into().map_err(|_| StoreError::Record { table: Table::Leases.name() })?;
        Ok(Some(i64::from_le_bytes(bytes)))
    }

    /// Returns all keys that are under lease or pinned at a time, in seconds since the epoch, each once with its
    /// shard.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn leased(database: &Database, at: i64) -> Result<Vec<(Shard, EnvKey)>, StoreError> {
        let database = database.clone();
        blocking(move || {
            let mut leased = HashSet::new();
            database.scan(Table::Leases, |record, expires| {
                let expires = expires.try_into().map(i64::from_le_bytes);
                if expires.is_ok_and(|expires| expires > at) {
                    leased.extend(parse_record(record));
                }
                Ok(())
            })?;
            database.scan(Table::Pins, |record, expires| {
                leased.extend(pinned::kept(record, expires, at).and_then(parse_record));
                Ok(())
            })?;
            Ok(leased.into_iter().collect())
        })
        .await
    }

    /// Sets the end of the lease of a key.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn set_lease(&self, key: &EnvKey, expires: i64) -> Result<(), StoreError> {
        self.database.put(Table::Leases, self.record(key), expires.to_le_bytes().to_vec()).await
    }
}

/// Returns what a record is about; `None` when it is none of this version.
pub(super) fn parse_record(record: &[u8]) -> Option<(Shard, EnvKey)> {
    let mut parts = std::str::from_utf8(record).ok()?.split('/');
    let mut digest = || {
        let (hash, size) = (parts.next()?, parts.next()?);
        Digest::parse(DigestFunction::Sha256, hash, size.parse().ok()?).ok()
    };
    Some((Shard::try_from(digest()?).ok()?, EnvKey::try_from(digest()?).ok()?))
}

/// Results of actions by the digest of the action.
#[async_trait]
pub trait ActionCache: Send + Sync {
    /// Returns the result, or `None` when there is none. Its outputs may be gone: that is for the caller to check.
    async fn get(&self, action: &Digest) -> Result<Option<reapi::ActionResult>, StoreError>;

    /// Sets the result.
    async fn put(&self, action: &Digest, result: &reapi::ActionResult) -> Result<(), StoreError>;
}

/// The action cache of the embedded endpoint.
#[derive(Clone)]
pub struct LocalActionCache {
    database: Database,
}

impl LocalActionCache {
    /// Opens the table.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

fn action_record(action: &Digest) -> Vec<u8> {
    format!("{action:?}").into_bytes()
}

#[async_trait]
impl ActionCache for LocalActionCache {
    async fn get(&self, action: &Digest) -> Result<Option<reapi::ActionResult>, StoreError> {
        let Some(record) = self.database.get(Table::Actions, action_record(action)).await? else { return Ok(None) };
        let unreadable = |_| StoreError::Record { table: Table::Actions.name() };
        Ok(Some(reapi::ActionResult::decode(&*record).map_err(unreadable)?))
    }

    async fn put(&self, action: &Digest, result: &reapi::ActionResult) -> Result<(), StoreError> {
        self.database.put(Table::Actions, action_record(action), result.encode_to_vec()).await
    }
}
