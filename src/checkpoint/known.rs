//! The checkpoints that a daemon has answered: those of which its executor starts copies beside actions.
//!
//! CRIU does as root whatever its images say. So nothing is taken that clients have put into the CAS: only what is known
//! here, which this daemon itself has had made. That something is known does not mean that it is in the CAS.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::digest::Digest;
use crate::spec::Descriptor;
use crate::store::{Database, StoreError, Table};

/// Most checkpoints of which is remembered that they are written.
const MAX_NOTED: usize = 10_000;

/// The checkpoints that are known. Clones share what they remember.
#[derive(Clone)]
pub struct KnownCheckpoints {
    database: Database,
    noted: Arc<Mutex<HashSet<Digest>>>,
}

impl KnownCheckpoints {
    /// Opens the table.
    pub fn new(database: Database) -> Self {
        Self { database, noted: Arc::default() }
    }

    fn noted(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an environment that is about to be answered, if it is a checkpoint: who is told of one may use it at
    /// once.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn note(&self, descriptor: &Descriptor) -> Result<(), StoreError> {
        if descriptor.checkpoint.is_none() {
            return Ok(());
        }
        let digest = descriptor.digest();
        if self.noted().contains(&digest) {
            return Ok(());
        }
        self.database.put(Table::Checkpoints, digest.to_bytes().to_vec(), descriptor.canonical()).await?;
        let mut noted = self.noted();
        if noted.len() >= MAX_NOTED {
            noted.clear();
        }
        noted.insert(digest);
        Ok(())
    }

    /// Returns the descriptor of a checkpoint, if it is known.
    ///
    /// # Errors
    /// When the database cannot tell, or has something else.
    pub async fn get(&self, digest: &Digest) -> Result<Option<Descriptor>, StoreError> {
        let Some(record) = self.database.get(Table::Checkpoints, digest.to_bytes().to_vec()).await? else {
            return Ok(None);
        };
        let damaged = StoreError::Record { table: Table::Checkpoints.name() };
        if !digest.matches(&record) {
            return Err(damaged);
        }
        Descriptor::parse(&record).map(Some).map_err(|_| damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::tests::descriptor;

    #[tokio::test]
    async fn what_was_answered_is_known_by_its_digest_and_nothing_else_is() {
        let directory = tempfile::tempdir().expect("temporary");
        let database = Database::open(directory.path(), u64::MAX).expect("new");
        let known = KnownCheckpoints::new(database.clone());
        let descriptor = descriptor();
        assert_eq!(known.get(&descriptor.digest()).await.expect("readable"), None);
        known.note(&descriptor).await.expect("writable");
        known.note(&descriptor).await.expect("writable");
        let again = KnownCheckpoints::new(database.clone());
        assert_eq!(again.get(&descriptor.digest()).await.expect("readable").as_ref(), Some(&descriptor));
        assert_eq!(again.get(&descriptor.root).await.expect("readable"), None);
        let other = Descriptor { checkpoint: None, ..descriptor };
        known.note(&other).await.expect("nothing to do");
        assert_eq!(known.get(&other.digest()).await.expect("readable"), None);
    }

    #[tokio::test]
    async fn a_record_that_is_another_one_is_damage() {
        let directory = tempfile::tempdir().expect("temporary");
        let database = Database::open(directory.path(), u64::MAX).expect("new");
        let descriptor = descriptor();
        let key = descriptor.root.to_bytes().to_vec();
        database.put(Table::Checkpoints, key, descriptor.canonical()).await.expect("writable");
        let found = KnownCheckpoints::new(database).get(&descriptor.root).await;
        assert!(matches!(found, Err(StoreError::Record { .. })), "{found:?}");
    }
}
