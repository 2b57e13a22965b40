//! The blob store of a server: what it keeps, what goes, and what it does with what is damaged.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::super::database::Table;
use super::super::small::SMALL_BYTES;
use super::super::used::Moment;
use super::super::{
    ActionCache, BlobStore, Collected, Database, Entries, FsckOptions, Goal, LocalActionCache, LocalBlobStore,
    MerkleTree, Node, StoreError, StoreOptions,
};
use super::{blob, conforms};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::spec::{
    DESCRIPTOR_VERSION, Descriptor, EnvKey, KindName, Provenance, Provides, RelativePath, Shard, ShardParts,
};

const FUNCTION: DigestFunction = DigestFunction::Blake3;
const DAY: Duration = Duration::from_secs(86_400);

struct Served {
    directory: TempDir,
    database: Database,
    store: LocalBlobStore,
}

/// A store that may evict everything at once.
fn served() -> Served {
    with(StoreOptions { grace: Duration::ZERO, ..StoreOptions::default() })
}

fn with(options: StoreOptions) -> Served {
    let directory = tempfile::tempdir().expect("temporary");
    let (database, store) = open(directory.path(), options);
    Served { directory, database, store }
}

fn open(root: &Path, options: StoreOptions) -> (Database, LocalBlobStore) {
    let database = Database::open(&root.join("database"), options.max_size.unwrap_or(u64::MAX)).expect("opened");
    let store = LocalBlobStore::open(root, database.clone(), options).expect("opened");
    (database, store)
}

/// A blob that belongs into the database, one that is a file by itself, and one of the largest small size.
fn blobs() -> Vec<(Digest, Bytes)> {
    let small = usize::try_from(SMALL_BYTES).expect("a few KiB");
    [10, small, small + 1, 3 << 20].map(|size| of_size(size, 7)).into()
}

fn of_size(size: usize, byte: u8) -> (Digest, Bytes) {
    let bytes = Bytes::from(vec![byte; size]);
    (FUNCTION.digest(&bytes), bytes)
}

impl Served {
    fn put(&self, blobs: &[(Digest, Bytes)]) {
        blobs.iter().for_each(|(digest, bytes)| self.store.write(digest, bytes).expect("stored"));
    }

    fn has(&self, digest: &Digest) -> bool {
        self.store.contains(digest).expect("an answer")
    }

    fn problems(&self, repair: bool) -> Vec<String> {
        let mut problems = Vec::new();
        let options = FsckOptions { repair, verify_content: true };
        let checked = self.store.fsck(options, &mut |problem| problems.push(problem.to_string())).expect("readable");
        assert_eq!(checked.problems, problems.len() as u64);
        problems
    }

    fn free_all(&self) -> Collected {
        self.store.collect(Goal { free: u64::MAX, max_age: None }).expect("collected")
    }
}

#[tokio::test]
async fn it_conforms() {
    conforms(&served().store).await;
    conforms(&with(StoreOptions { shared: true, ..StoreOptions::default() }).store).await;
}

#[test]
fn blobs_of_all_sizes_outlive_the_store() {
    let Served { directory, database, store } = served();
    for (digest, bytes) in blobs() {
        let mut writer = store.writer(&digest).expect("room");
        bytes.chunks(1000).for_each(|piece| writer.write(piece).expect("taken"));
        writer.finish().expect("stored");
    }
    drop((store, database));
    let (_database, again) = open(directory.path(), StoreOptions::default());
    for (digest, bytes) in blobs() {
        assert_eq!(again.read(&digest).expect("readable"), Some(bytes));
    }
}

#[test]
fn a_writer_takes_no_byte_too_many_and_leaves_nothing_unless_finished() {
    let served = served();
    for (digest, bytes) in blobs() {
        let mut writer = served.store.writer(&digest).expect("room");
        writer.write(&bytes).expect("taken");
        assert!(matches!(writer.write(b"x"), Err(StoreError::TooLong { .. })));
        drop(writer);
        let mut lied = served.store.writer(&digest).expect("room");
        lied.write(&vec![8; bytes.len()]).expect("taken");
        assert!(matches!(lied.finish(), Err(StoreError::Mismatch { .. })));
        assert!(!served.has(&digest));
    }
    assert_eq!(fs::read_dir(served.directory.path().join("tmp")).expect("there").count(), 0);
}

#[test]
fn a_flipped_bit_is_never_served_and_the_blob_counts_as_absent() {
    let served = served();
    for (digest, bytes) in blobs() {
        served.put(&[(digest, bytes.clone())]);
        served.store.corrupt(&digest);
        assert_eq!(served.store.read(&digest).expect("an answer"), None, "{digest}");
        assert!(!served.has(&digest));
        served.put(&[(digest, bytes.clone())]);
        assert_eq!(served.store.read(&digest).expect("an answer"), Some(bytes));
    }
}

#[test]
fn damage_in_the_files_of_the_database_is_absence_of_what_lay_there_and_no_more() {
    let Served { directory, database, store } = served();
    let blobs: Vec<_> = (0..100).map(|byte| of_size(5000, byte)).collect();
    store.write(&blobs[0].0, &blobs[0].1).expect("stored");
    blobs.iter().for_each(|(digest, bytes)| store.write(digest, bytes).expect("stored"));
    database.compact(Table::Contents).expect("compacted");
    drop((store, database));
    let files = fs::read_dir(directory.path().join("database")).expect("there").flatten().map(|entry| entry.path());
    let file = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "blob")).expect("one blob file");
    let mut bytes = fs::read(&file).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).expect("writable");

    let (_database, store) = open(directory.path(), StoreOptions::default());
    let absent = blobs.iter().filter(|(digest, bytes)| match store.read(digest).expect("an answer") {
        Some(read) => {
            assert_eq!(read, *bytes);
            false
        }
        None => true,
    });
    let absent: Vec<Digest> = absent.map(|(digest, _)| *digest).collect();
    assert_eq!(absent.len(), 1);
    assert!(!store.contains(&absent[0]).expect("an answer"));
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let served = served();
    let kinds = blobs();
    served.put(&kinds);
    for (unused, (digest, _)) in kinds.iter().enumerate() {
        served.store.age(digest, DAY * (u32::try_from(unused).expect("few") + 1));
    }
    for kept in (0..kinds.len()).rev() {
        let collected = served.store.collect(Goal { free: 1, max_age: None }).expect("collected");
        assert_eq!(collected.blobs, 1);
        let there: Vec<bool> = kinds.iter().map(|(digest, _)| served.store.used_at(digest).is_some()).collect();
        assert_eq!(there, (0..kinds.len()).map(|at| at < kept).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_old_goes_even_if_there_is_room() {
    let served = served();
    let kinds = blobs();
    served.put(&kinds);
    served.store.age(&kinds[0].0, 3 * DAY);
    served.store.age(&kinds[3].0, 3 * DAY);
    let collected = served.store.collect(Goal { free: 0, max_age: Some(2 * DAY) }).expect("collected");
    assert_eq!((collected.blobs, collected.bytes), (2, kinds[0].0.size() + kinds[3].0.size()));
    assert!(served.has(&kinds[1].0) && served.has(&kinds[2].0));
}

#[tokio::test]
async fn every_use_keeps_a_blob() {
    let grace = Duration::from_secs(600);
    let served = with(StoreOptions { grace, ..StoreOptions::default() });
    for (digest, bytes) in blobs() {
        let place = served.directory.path().join("placed");
        for how in 0..7 {
            served.put(&[(digest, bytes.clone())]);
            served.store.age(&digest, DAY);
            match how {
                0 => assert!(served.has(&digest)),
                1 => assert!(served.store.find_missing(&[digest]).await.expect("an answer").is_empty()),
                2 => assert!(served.store.read(&digest).expect("readable").is_some()),
                3 => assert!(served.store.open_read(&digest).expect("readable").is_some()),
                4 => assert!(served.store.open_at(&digest, 1).expect("readable").is_some()),
                5 => served.put(&[(digest, bytes.clone())]),
                _ => {
                    assert!(served.store.place(&digest, false, &place).expect("placed"));
                    fs::remove_file(&place).expect("there");
                }
            }
            assert_eq!(served.free_all().blobs, 0, "{digest} {how}");
        }
        served.store.age(&digest, DAY);
        assert_eq!(served.free_all().blobs, 1, "{digest} is evicted when it was not used");
    }
}

#[test]
fn pinned_blobs_stay_until_the_last_pin_is_gone() {
    let served = served();
    served.put(&blobs());
    let digests: Vec<Digest> = blobs().iter().map(|(digest, _)| *digest).collect();
    let (first, second) = (served.store.pin(digests.clone()), served.store.pin(digests.clone()));
    assert_eq!(served.free_all().blobs, 0);
    drop(first);
    assert_eq!(served.free_all().blobs, 0);
    drop(second);
    assert_eq!(served.free_all().blobs, 4);
}

fn shard() -> Shard {
    let (properties, instance) = Default::default();
    ShardParts { digest_function: FUNCTION, properties, instance, id: None, dispatch: None, host: None }.shard()
}

fn key() -> EnvKey {
    DigestFunction::Sha256.digest(b"key").try_into().expect("a key")
}

fn descriptor(root: Digest, tree: Digest) -> Descriptor {
    let provenance = Provenance { builder: String::new(), actions: Vec::new(), built_at: 0, duration_ms: 0 };
    let (version, kind) = (DESCRIPTOR_VERSION, KindName::Tree);
    Descriptor {
        version,
        kind,
        root,
        tree,
        provides: Provides::default(),
        nix: None,
        image: None,
        checkpoint: None,
        provenance,
    }
}

/// Writes an entry whose environment holds these blobs, with a lease that ends so many seconds from now.
async fn entry(served: &Served, blobs: &[(Digest, Bytes)], lease: i64) -> Vec<Digest> {
    let mut tree = MerkleTree::default();
    for (at, (digest, _)) in blobs.iter().enumerate() {
        let path = RelativePath::parse(&format!("d/{at}")).expect("a path");
        tree.insert(&path, Node::File { digest: *digest, executable: false }).expect("free");
    }
    let (root, directories) = tree.encode(FUNCTION);
    served.store.put_batch(blobs.to_vec()).await.expect("stored");
    served.store.put_batch(directories.clone()).await.expect("stored");
    let bytes = Bytes::from(crate::store::collect_tree(&served.store, root).await.expect("whole"));
    let tree = FUNCTION.digest(&bytes);
    let descriptor = descriptor(root, tree);
    served.store.put_batch(vec![(tree, bytes)]).await.expect("stored");
    let canonical = Bytes::from(descriptor.canonical());
    let digest = FUNCTION.digest(&canonical);
    served.store.put_batch(vec![(digest, canonical.clone())]).await.expect("stored");
    let entries = Entries::new(served.database.clone(), shard());
    entries.put(&key(), canonical.to_vec()).await.expect("written");
    entries.set_lease(&key(), Moment::now().seconds() + lease).await.expect("written");
    let directories = directories.iter().map(|(digest, _)| *digest);
    blobs.iter().map(|(digest, _)| *digest).chain(directories).chain([digest, tree]).collect()
}

#[tokio::test]
async fn what_an_entry_under_lease_reaches_stays_and_goes_when_the_lease_is_over() {
    let served = served();
    let reached = entry(&served, &blobs(), 60).await;
    let (other, bytes) = blob("reached by nothing");
    served.put(&[(other, bytes)]);
    assert_eq!(served.free_all().blobs, 1);
    assert!(reached.iter().all(|digest| served.has(digest)));

    let entries = Entries::new(served.database.clone(), shard());
    entries.set_lease(&key(), Moment::now().seconds() - 1).await.expect("written");
    let collected = served.free_all();
    assert_eq!((collected.blobs, collected.records), (reached.len() as u64, 1), "the entry goes with its blobs");
    assert_eq!(entries.get(&key()).await.expect("an answer"), None);
}

#[tokio::test]
async fn results_that_lead_to_evicted_blobs_are_removed() {
    let served = served();
    let actions = LocalActionCache::new(served.database.clone());
    let (kept, bytes) = blob("kept");
    served.put(&[(kept, bytes)]);
    let _pin = served.store.pin(vec![kept]);
    let (gone, bytes) = blob("gone");
    served.put(&[(gone, bytes)]);
    for digest in [kept, gone] {
        let result = reapi::ActionResult { stdout_digest: Some(digest.into()), ..Default::default() };
        actions.put(&digest, &result).await.expect("written");
    }
    assert_eq!(served.free_all(), Collected { blobs: 1, bytes: gone.size(), records: 1 });
    assert!(actions.get(&kept).await.expect("an answer").is_some());
    assert!(actions.get(&gone).await.expect("an answer").is_none());
}

#[test]
fn the_limit_is_never_exceeded_and_old_blobs_make_room_for_new_ones() {
    const LIMIT: u64 = 24 << 20;
    let served = with(StoreOptions { max_size: Some(LIMIT), grace: Duration::ZERO, shared: false });
    for at in 0..200_u32 {
        let size = if at % 2 == 0 { 400 << 10 } else { 16 << 10 };
        let mut bytes = vec![3; size];
        bytes[..4].copy_from_slice(&at.to_le_bytes());
        let digest = FUNCTION.digest(&bytes);
        served.store.write(&digest, &bytes).expect("there is always something to evict");
        assert_eq!(served.store.read(&digest).expect("readable"), Some(bytes.into()));
        let used = served.store.used().expect("known");
        assert!(used <= LIMIT, "{used} bytes after {at} blobs");
    }
}

#[test]
fn a_store_in_which_nothing_may_go_is_full_and_takes_more_when_something_went() {
    let options = StoreOptions { max_size: Some(16 << 20), grace: DAY, shared: false };
    let served = with(options);
    let mut stored = Vec::new();
    let refused = (0..=u8::MAX).find_map(|byte| {
        let (digest, bytes) = of_size(200 << 10, byte);
        match served.store.write(&digest, &bytes) {
            Ok(()) => stored.push(digest),
            Err(error) => return Some(error),
        }
        None
    });
    assert!(matches!(refused, Some(StoreError::Full { .. })), "{refused:?}");
    assert!(stored.len() > 40 && stored.iter().all(|digest| served.has(digest)));
    let writer = served.store.writer(&of_size(1 << 20, 1).0);
    assert!(matches!(writer.err(), Some(StoreError::Full { .. })), "room is reserved before the first byte");
    stored.iter().for_each(|digest| served.store.age(digest, 2 * DAY));
    served.store.collect(Goal { free: 1 << 20, max_age: None }).expect("collected");
    let (digest, bytes) = of_size(300 << 10, 255);
    served.store.write(&digest, &bytes).expect("room was made");
}

#[test]
fn fsck_finds_what_is_wrong_takes_it_away_and_is_clean_afterwards() {
    let served = served();
    served.put(&blobs());
    assert_eq!(served.problems(false), Vec::<String>::new());
    let [small, _, file, torn] = blobs().map_digests();
    served.store.corrupt(&small);
    served.store.corrupt(&file);
    let files = &served.store.inner.files;
    fs::remove_file(files.path(&torn, false)).expect("there");
    fs::write(files.path(&torn, false), "torn").expect("writable");
    fs::write(files.path(&torn, false).with_file_name("stray"), "").expect("writable");
    let (half, _) = blob("half");
    let mut changes = served.database.changes();
    changes.put(Table::Blobs, &half.to_bytes(), &Moment::now().to_bytes());
    changes.put(Table::Contents, &blob("other half").0.to_bytes(), b"other half");
    changes.put(Table::Actions, b"action", b"\xff");
    served.database.apply(changes).expect("written");

    let found = served.problems(false);
    assert_eq!(found.len(), 7, "{found:#?}");
    assert_eq!(found.iter().filter(|problem| problem.contains("corrupt")).count(), 3);
    assert_eq!(served.problems(true).len(), 7);
    assert_eq!(served.problems(false), Vec::<String>::new());
    assert!(!served.has(&small) && !served.has(&file) && !served.has(&torn));
}

trait Digests {
    fn map_digests(&self) -> [Digest; 4];
}

impl Digests for Vec<(Digest, Bytes)> {
    fn map_digests(&self) -> [Digest; 4] {
        [self[0].0, self[1].0, self[2].0, self[3].0]
    }
}
