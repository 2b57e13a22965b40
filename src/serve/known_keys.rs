//! What the keys of entries were made from, remembered beside the entries, so that it can be said in what a miss
//! differs from what is there.
//!
//! ```text
//! table `components`: TARGET/SHARD/KEY → key, description, parts of the shard, when it was built, how long that took
//! ```
//!
//! TARGET is a hash of module and name, so that what has the same lies together. Nothing is decided by what is
//! remembered here: what is forgotten, or cannot be read by this version, costs an explanation and nothing more.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::digest::DigestFunction;
use crate::spec::{Components, Descriptor, EnvKey, KeyParts, Shard, ShardParts};
use crate::store::{Database, StoreError, Table, blocking};

/// Most entries that are remembered.
const MAX_RECORDS: usize = 10_000;
/// Most bytes of them.
const MAX_BYTES: usize = 64 << 20;
/// Largest one that is.
const MAX_RECORD_BYTES: usize = 1 << 20;
/// After how many records, or bytes, it is looked whether there are too many.
const LOOK_AFTER: (usize, usize) = (256, 16 << 20);
/// Digits of the hash of a target.
const TARGET_DIGITS: usize = 32;
/// Fewest digits by which a key can be named.
const FEWEST_DIGITS: usize = 6;

/// An entry that was answered.
#[derive(Debug, Clone)]
pub(super) struct KnownKey {
    /// By what it is looked up.
    pub(super) key: EnvKey,
    /// What key and shard are made from. The host is that on which a checkpoint was made, whatever its shard.
    pub(super) components: Components,
    /// When it was built, in seconds since 1970.
    pub(super) built_at: u64,
    /// How long that took, in milliseconds.
    pub(super) duration_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    key: String,
    description: String,
    shard: ShardParts,
    built_at: u64,
    duration_ms: u64,
}

/// The part of a record by which it is forgotten.
#[derive(Deserialize)]
struct Age {
    built_at: u64,
}

/// The keys that are remembered. Clones share what they know of the table.
#[derive(Clone)]
pub(super) struct KnownKeys {
    database: Database,
    noted: Arc<Mutex<Noted>>,
}

#[derive(Default)]
struct Noted {
    keys: HashSet<(Shard, EnvKey)>,
    /// Records, and bytes of them, that were written since the table was looked at.
    written: (usize, usize),
}

impl KnownKeys {
    pub(super) fn new(database: Database) -> Self {
        Self { database, noted: Arc::default() }
    }

    /// Says whether a key need not be remembered: it was noted since this process runs.
    pub(super) fn is_noted(&self, shard: Shard, key: &EnvKey) -> bool {
        self.noted().keys.contains(&(shard, *key))
    }

    /// Remembers what a key in a shard was made from.
    ///
    /// # Errors
    /// When the database cannot write.
    pub(super) async fn note(
        &self,
        place: Shard,
        components: Components,
        descriptor: &Descriptor,
    ) -> Result<(), StoreError> {
        let Components { version, parts, shard } = components;
        let (key, target) = (parts.key(), target(&parts));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("canonical JSON is UTF-8");
        let record = Record {
            version,
            key: text(parts.canonical()),
            description: text(parts.description.canonical()),
            shard,
            built_at: descriptor.provenance.built_at,
            duration_ms: descriptor.provenance.duration_ms,
        };
        let record = serde_json::to_vec(&record).expect("it has text keys only");
        if record.len() <= MAX_RECORD_BYTES {
            let written = record.len();
            let name = format!("{target}/{place}/{key}").into_bytes();
            self.database.put(Table::Components, name, record).await?;
            if self.noted().wrote(written) {
                self.forget_oldest(MAX_RECORDS, MAX_BYTES).await?;
            }
        }
        let mut noted = self.noted();
        if noted.keys.len() >= MAX_RECORDS {
            noted.keys.clear();
        }
        noted.keys.insert((place, key));
        Ok(())
    }

    /// Returns what is remembered of environments with the module and name of this one.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub(super) async fn alike(&self, parts: &KeyParts) -> Result<Vec<KnownKey>, StoreError> {
        self.starting(format!("{}/", target(parts))).await
    }

    /// Returns everything that is remembered.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub(super) async fn all(&self) -> Result<Vec<KnownKey>, StoreError> {
        self.starting(String::new()).await
    }

    /// Returns what is remembered of keys that begin so; `None` when that can be no beginning of a key.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub(super) async fn named(&self, name: &str) -> Result<Option<Vec<KnownKey>>, StoreError> {
        let hash = name.split_once('/').map_or(name, |(hash, _)| hash);
        if hash.len() < FEWEST_DIGITS || !hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Ok(None);
        }
        let mut found = self.all().await?;
        found.retain(|known| known.key.to_string().starts_with(name));
        Ok(Some(found))
    }

    async fn starting(&self, prefix: String) -> Result<Vec<KnownKey>, StoreError> {
        let most = MAX_RECORDS + LOOK_AFTER.0;
        let records = self.database.starting(Table::Components, prefix.into_bytes(), None, most).await?;
        Ok(blocking(move || records.iter().filter_map(|(_, record)| read(record)).collect()).await)
    }

    /// Removes the oldest records where there are too many, until a quarter of the room is free.
    async fn forget_oldest(&self, most: usize, most_bytes: usize) -> Result<(), StoreError> {
        let records = self.database.starting(Table::Components, Vec::new(), None, usize::MAX).await?;
        let size = |records: &[(u64, usize, Vec<u8>)]| records.iter().map(|(_, bytes, _)| bytes).sum::<usize>();
        let built_at = |record: &[u8]| serde_json::from_slice(record).map_or(0, |Age { built_at }| built_at);
        let mut records: Vec<_> =
            records.into_iter().map(|(name, record)| (built_at(&record), record.len(), name)).collect();
        let mut bytes = size(&records);
        if records.len() <= most && bytes <= most_bytes {
            return Ok(());
        }
        // The newest first, so that the oldest are taken from the end.
        records.sort_unstable_by(|one, other| other.cmp(one));
        let mut forgotten = Vec::new();
        while records.len() > most / 4 * 3 || bytes > most_bytes / 4 * 3 {
            let Some((_, removed, name)) = records.pop() else { break };
            bytes -= removed;
            forgotten.push(name);
        }
        tracing::debug!(count = forgotten.len(), "forgot what the oldest keys were made from");
        self.noted().keys.clear();
        self.database.delete_all(Table::Components, forgotten).await
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    /// Counts a record, and says whether it is time to look at the table.
    fn wrote(&mut self, bytes: usize) -> bool {
        self.written = (self.written.0 + 1, self.written.1 + bytes);
        let due = self.written.0 >= LOOK_AFTER.0 || self.written.1 >= LOOK_AFTER.1;
        if due {
            self.written = (0, 0);
        }
        due
    }
}

fn target(parts: &KeyParts) -> String {
    let name = serde_json::json!([parts.module, parts.name]).to_string();
    DigestFunction::Sha256.digest(name.as_bytes()).hash()[..TARGET_DIGITS].to_owned()
}

fn read(record: &[u8]) -> Option<KnownKey> {
    let Record { version, key, description, shard, built_at, duration_ms } = serde_json::from_slice(record).ok()?;
    let parts = KeyParts::parse(key.as_bytes(), description.as_bytes()).ok()?;
    Some(KnownKey { key: parts.key(), components: Components { version, parts, shard }, built_at, duration_ms })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::spec::{
        Config, DESCRIPTOR_VERSION, Description, GitId, KindName, Provenance, Provides, RelativePath,
        ResolvedRepository,
    };

    fn components(name: &str) -> Components {
        let root = GitId::from_bytes([1; 20]);
        let main = ResolvedRepository { root, environments_file: "ENVS".into(), bindings: BTreeMap::new() };
        let description = Description::new("main", &BTreeMap::from([("main".to_owned(), main)])).unwrap();
        let module = RelativePath::parse("").unwrap();
        let parts = KeyParts { description, module, name: name.to_owned(), effective_config: Config::default() };
        let shard = ShardParts {
            digest_function: DigestFunction::Blake3,
            properties: BTreeMap::new(),
            instance: String::new(),
            id: None,
            dispatch: None,
            host: None,
        };
        Components::new(parts, shard)
    }

    fn descriptor(built_at: u64) -> Descriptor {
        let empty = DigestFunction::Blake3.empty();
        let provenance = Provenance { builder: "test".into(), actions: Vec::new(), built_at, duration_ms: 5 };
        Descriptor {
            version: DESCRIPTOR_VERSION,
            kind: KindName::Tree,
            root: empty,
            tree: empty,
            provides: Provides::default(),
            nix: None,
            image: None,
            checkpoint: None,
            provenance,
        }
    }

    async fn note(keys: &KnownKeys, components: Components, built_at: u64) {
        keys.note(components.shard.shard(), components, &descriptor(built_at)).await.unwrap();
    }

    fn keys(directory: &tempfile::TempDir) -> KnownKeys {
        KnownKeys::new(Database::open(directory.path(), 1 << 30).unwrap())
    }

    #[tokio::test]
    async fn what_is_remembered_is_found_by_target_and_by_key() {
        let directory = tempfile::tempdir().unwrap();
        let keys = keys(&directory);
        for (at, name) in ["one", "two"].iter().enumerate() {
            note(&keys, components(name), at as u64).await;
        }
        let one = components("one");
        let found = keys.alike(&one.parts).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].components, found[0].duration_ms), (&one, 5));
        assert!(keys.is_noted(one.shard.shard(), &one.parts.key()));
        let key = one.parts.key().to_string();
        for name in [&key, &key[..64], &key[..6]] {
            assert_eq!(keys.named(name).await.unwrap().unwrap().len(), 1, "{name}");
        }
        for bad in ["", "12345", "spec.json", "ABCDEF"] {
            assert!(keys.named(bad).await.unwrap().is_none(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_oldest_are_forgotten_first() {
        let directory = tempfile::tempdir().unwrap();
        let keys = keys(&directory);
        for at in 0..8_u64 {
            note(&keys, components(&format!("e{at}")), 100 - at).await;
        }
        keys.forget_oldest(8, MAX_BYTES).await.unwrap();
        assert_eq!(keys.all().await.unwrap().len(), 8);
        keys.forget_oldest(4, MAX_BYTES).await.unwrap();
        let left: Vec<u64> = keys.all().await.unwrap().iter().map(|known| known.built_at).collect();
        assert_eq!(left.len(), 3);
        assert!(left.iter().all(|at| *at >= 98), "{left:?}");
        keys.forget_oldest(4, 0).await.unwrap();
        assert!(keys.all().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_record_of_another_form_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let keys = keys(&directory);
        keys.database.put(Table::Components, b"x/y/z".to_vec(), b"{}".to_vec()).await.unwrap();
        assert!(keys.all().await.unwrap().is_empty());
    }
}
