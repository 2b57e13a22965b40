//! The keyed cache: what was built, in a fast local tier and, over a remote endpoint, in one that all daemons share.
//!
//! An entry counts only when everything it reaches is in the CAS. What was checked is taken for granted for half a
//! lease; a client that finds a blob gone all the same says so, and everything is checked again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::digest::{Digest, DigestFunction};
use crate::environment::Published;
use crate::spec::{Descriptor, EnvKey, Shard};
use crate::store::{BlobStore, Database, Entries, Listing, SharedEntries, StoreError};

/// Most answers that are held in memory.
const MAX_WHOLE: usize = 20_000;

/// The cache over one CAS.
pub(super) struct KeyedCache {
    store: Arc<dyn BlobStore>,
    database: Database,
    shared: Option<SharedEntries>,
    function: DigestFunction,
    lease: Duration,
    /// Entries found whole in this process's life, and until when that is taken for granted.
    whole: Mutex<HashMap<(Shard, EnvKey), Whole>>,
}

/// An entry all of whose blobs were there.
struct Whole {
    digest: Digest,
    until: Instant,
    /// What was answered last.
    answer: Option<Answer>,
}

/// An environment and how long it stays.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The descriptor, read.
    pub descriptor: Arc<Descriptor>,
    /// The descriptor's canonical form.
    pub canonical: Bytes,
    /// Its digest.
    pub digest: Digest,
    /// Seconds since the epoch.
    pub lease_expires: i64,
}

/// An entry that this version can read.
struct Entry {
    descriptor: Descriptor,
    canonical: Bytes,
    digest: Digest,
}

impl KeyedCache {
    pub(super) fn new(
        store: Arc<dyn BlobStore>,
        database: Database,
        shared: Option<SharedEntries>,
        function: DigestFunction,
        lease: Duration,
    ) -> Self {
        Self { store, database, shared, function, lease, whole: Mutex::default() }
    }

    fn entries(&self, shard: Shard) -> Entries {
        Entries::new(self.database.clone(), shard)
    }

    /// Looks an entry up and checks that all it reaches is there. A hit's lease is prolonged.
    ///
    /// # Errors
    /// When a store cannot tell.
    pub(super) async fn lookup(&self, shard: Shard, key: &EnvKey) -> Result<Option<Answer>, StoreError> {
        if let Some(answer) = self.answered(shard, key) {
            return Ok(Some(answer));
        }
        let own = self.entries(shard).get(key).await?.and_then(|canonical| self.read(key, canonical.into()));
        let Some(entry) = own else { return self.adopt(shard, key, None).await };
        if self.is_whole(shard, key, entry.digest) || self.check_own(shard, key, &entry).await? {
            return Ok(Some(self.answer(shard, key, entry).await?));
        }
        self.adopt(shard, key, Some(entry.digest)).await
    }

    /// Takes over the entry that another daemon has written, if there is one and it is whole. `lost` is a descriptor
    /// that is known not to be.
    async fn adopt(&self, shard: Shard, key: &EnvKey, lost: Option<Digest>) -> Result<Option<Answer>, StoreError> {
        let Some(shared) = &self.shared else { return Ok(None) };
        let Some(canonical) = shared.get(&shard, key).await? else { return Ok(None) };
        let Some(entry) = self.read(key, canonical) else { return Ok(None) };
        if Some(entry.digest) == lost || !self.check(shard, key, &entry).await? {
            return Ok(None);
        }
        tracing::info!(%key, "took over an entry of the endpoint's action cache");
        self.entries(shard).put(key, entry.canonical.to_vec()).await?;
        Ok(Some(self.answer(shard, key, entry).await?))
    }

    /// Returns the answer to give for something just built, and writes its entry. What another daemon has written
    /// meanwhile is answered instead, so that all answer the same.
    ///
    /// # Errors
    /// When the local tier cannot be written.
    pub(super) async fn write(&self, shard: Shard, key: &EnvKey, built: Published) -> Result<Answer, StoreError> {
        match self.adopt(shard, key, None).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(error) => tracing::warn!(%key, %error, "cannot see whether another daemon has built this meanwhile"),
        }
        let digest = self.function.digest(&built.canonical);
        let entry = Entry { descriptor: built.descriptor, canonical: built.canonical, digest };
        self.entries(shard).put(key, entry.canonical.to_vec()).await?;
        // The build has just seen all of it in the CAS.
        self.found_whole(shard, key, digest);
        self.share(shard, key, &entry).await;
        self.answer(shard, key, entry).await
    }

    /// Writes an entry for other daemons. Failing to is no harm but a second build, and is told as such.
    async fn share(&self, shard: Shard, key: &EnvKey, entry: &Entry) {
        let Some(shared) = &self.shared else { return };
        if let Err(error) = shared.put(&shard, key, &entry.descriptor, &entry.canonical).await {
            tracing::warn!(%key, %error, "cannot share an entry: it will be tried again when it is next checked");
        }
    }

    fn read(&self, key: &EnvKey, canonical: Bytes) -> Option<Entry> {
        match Descriptor::parse(&canonical) {
            Ok(descriptor) if descriptor.root.function() == self.function => {
                let digest = self.function.digest(&canonical);
                Some(Entry { descriptor, canonical, digest })
            }
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%key, %error, "an entry cannot be read by this version: it counts as a miss");
                None
            }
        }
    }

    async fn answer(&self, shard: Shard, key: &EnvKey, entry: Entry) -> Result<Answer, StoreError> {
        let lease_expires = self.prolong(&self.entries(shard), key).await?;
        let Entry { descriptor, canonical, digest } = entry;
        let answer = Answer { descriptor: Arc::new(descriptor), canonical, digest, lease_expires };
        if let Some(whole) = self.whole().get_mut(&(shard, *key)).filter(|whole| whole.digest == digest) {
            whole.answer = Some(answer.clone());
        }
        Ok(answer)
    }

    /// Returns what was answered before, when that can be answered again: it is whole, and more than half of its lease
    /// is left.
    fn answered(&self, shard: Shard, key: &EnvKey) -> Option<Answer> {
        let whole = self.whole();
        let found = whole.get(&(shard, *key)).filter(|found| Instant::now() < found.until)?;
        let answer = found.answer.as_ref()?;
        (answer.lease_expires >= now().saturating_add(self.lease_seconds() / 2)).then(|| answer.clone())
    }

    fn lease_seconds(&self) -> i64 {
        i64::try_from(self.lease.as_secs()).unwrap_or(i64::MAX)
    }

    /// Checks an entry of the local tier, and sees to it that other daemons have it as well.
    async fn check_own(&self, shard: Shard, key: &EnvKey, entry: &Entry) -> Result<bool, StoreError> {
        let Some(shared) = &self.shared else { return self.check(shard, key, entry).await };
        let (whole, known) = futures::future::join(self.check(shard, key, entry), shared.get(&shard, key)).await;
        let whole = whole?;
        if whole && known.is_ok_and(|known| known.is_none()) {
            self.share(shard, key, entry).await;
        }
        Ok(whole)
    }

    /// Says whether all that an entry reaches is in the CAS, and remembers it if so. Asking also tells the CAS that
    /// these blobs are in use.
    async fn check(&self, shard: Shard, key: &EnvKey, entry: &Entry) -> Result<bool, StoreError> {
        match self.first_lost(entry).await? {
            Some(lost) => {
                self.whole().remove(&(shard, *key));
                tracing::warn!(%key, blob = ?lost, "an entry reaches a blob that is gone: it counts as a miss");
                Ok(false)
            }
            None => {
                self.found_whole(shard, key, entry.digest);
                Ok(true)
            }
        }
    }

    /// Returns a blob that an entry reaches and the CAS does not have. The descriptor itself is put back.
    async fn first_lost(&self, entry: &Entry) -> Result<Option<Digest>, StoreError> {
        let tree = entry.descriptor.tree;
        let Some(listed) = self.store.get(&tree).await? else { return Ok(Some(tree)) };
        let Ok(listing) = Listing::parse(entry.descriptor.root, &listed) else { return Ok(Some(tree)) };
        let mut reached = listing.blobs();
        reached.extend([tree, entry.digest]);
        let mut missing = self.store.find_missing(&reached).await?;
        if missing == [entry.digest] {
            self.store.put_batch(vec![(entry.digest, entry.canonical.clone())]).await?;
            missing.clear();
        }
        Ok(missing.first().copied())
    }

    fn whole(&self) -> std::sync::MutexGuard<'_, HashMap<(Shard, EnvKey), Whole>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_whole(&self, shard: Shard, key: &EnvKey, digest: Digest) -> bool {
        let whole = self.whole();
        whole.get(&(shard, *key)).is_some_and(|found| found.digest == digest && Instant::now() < found.until)
    }

    fn found_whole(&self, shard: Shard, key: &EnvKey, digest: Digest) {
        let until = Instant::now() + self.lease / 2;
        let mut whole = self.whole();
        if whole.len() >= MAX_WHOLE {
            whole.clear();
        }
        whole.insert((shard, *key), Whole { digest, until, answer: None });
    }

    /// Checks every entry anew from now on: blobs are gone that should not be, so others may be.
    pub(super) fn doubt_all(&self) {
        self.whole().clear();
    }

    /// Makes sure that the lease of a key lasts, and returns its end. Written only when a quarter of it is over.
    async fn prolong(&self, entries: &Entries, key: &EnvKey) -> Result<i64, StoreError> {
        let length = self.lease_seconds();
        let now = now();
        if let Some(expires) = entries.lease(key).await?
            && expires >= now.saturating_add(length / 4 * 3)
        {
            return Ok(expires);
        }
        let expires = now.saturating_add(length);
        entries.set_lease(key, expires).await?;
        Ok(expires)
    }

    /// Checks again all that is under lease or pinned, so that a remote CAS does not take it for unused. Returns how many
    /// entries that were.
    ///
    /// # Errors
    /// When the database cannot tell, or the CAS is out of reach; what was not reached is tried the next time.
    pub(super) async fn touch_leased(&self) -> Result<usize, StoreError> {
        let leased = Entries::leased(&self.database, now()).await?;
        let mut touched = 0;
        for (shard, key) in leased {
            let Some(canonical) = self.entries(shard).get(&key).await? else { continue };
            let Some(entry) = self.read(&key, canonical.into()) else { continue };
            match self.check_own(shard, &key, &entry).await {
                Ok(true) => touched += 1,
                // It is a miss, and told as one.
                Ok(false) => {}
                Err(error) if error.is_unavailable() => return Err(error),
                // One that cannot be looked at must not keep the others from it.
                Err(error) => tracing::warn!(%key, %error, "cannot touch what is under lease"),
            }
        }
        Ok(touched)
    }
}

/// Returns the seconds since the epoch.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(now).unwrap_or(i64::MAX)
}
