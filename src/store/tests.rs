//! What every blob store must do, tried on each.

use std::fs;
use std::io::Write;

mod local;

use bytes::Bytes;

use super::{BATCH_BYTES, BlobStore, FileBlobStore, Linker, MemoryBlobStore, StoreError};
use crate::digest::{Digest, DigestFunction};

const FUNCTION: DigestFunction = DigestFunction::Blake3;

fn blob(text: &str) -> (Digest, Bytes) {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    (FUNCTION.digest(&bytes), bytes)
}

/// Runs the whole suite on an empty store.
pub(crate) async fn conforms(store: &dyn BlobStore) {
    absence_is_an_answer(store).await;
    what_was_put_comes_back(store).await;
    missing_digests_are_told_once_in_order(store).await;
    a_blob_under_a_false_digest_is_refused(store).await;
    a_blob_larger_than_a_batch_comes_back(store).await;
    a_file_comes_back(store).await;
    a_false_file_is_refused(store).await;
    a_blob_goes_into_a_file(store).await;
}

async fn absence_is_an_answer(store: &dyn BlobStore) {
    let (absent, _) = blob("never put");
    assert_eq!(store.get(&absent).await.expect("an answer"), None);
    assert!(store.get_batch(&[absent]).await.expect("an answer").is_empty());
    assert_eq!(store.find_missing(&[absent]).await.expect("an answer"), [absent]);
    assert!(store.find_missing(&[]).await.expect("an answer").is_empty());
}

async fn what_was_put_comes_back(store: &dyn BlobStore) {
    let blobs = vec![blob("one"), blob("two"), blob("")];
    store.put_batch(blobs.clone()).await.expect("stored");
    store.put_batch(blobs.clone()).await.expect("stored again");
    for (digest, bytes) in &blobs {
        assert_eq!(store.get(digest).await.expect("readable").as_ref(), Some(bytes));
    }
    let digests: Vec<Digest> = blobs.iter().map(|(digest, _)| *digest).collect();
    assert_eq!(store.get_batch(&digests).await.expect("readable"), blobs.into_iter().collect());
}

async fn missing_digests_are_told_once_in_order(store: &dyn BlobStore) {
    let (there, bytes) = blob("there");
    store.put_batch(vec![(there, bytes)]).await.expect("stored");
    let ([a, _], [b, _]) = ([blob("a"), blob("")], [blob("b"), blob("")]);
    let missing = store.find_missing(&[b.0, there, a.0, b.0]).await.expect("an answer");
    assert_eq!(missing, [b.0, a.0]);
}

async fn a_blob_under_a_false_digest_is_refused(store: &dyn BlobStore) {
    let (digest, _) = blob("what it claims to be");
    let refused = store.put_batch(vec![(digest, Bytes::from_static(b"what it claims to b3"))]).await;
    assert!(refused.is_err());
    assert_eq!(store.find_missing(&[digest]).await.expect("an answer"), [digest]);
    let longer = Digest::parse(FUNCTION, &digest.hash(), digest.size() + 1).expect("well formed");
    assert!(store.put_batch(vec![(longer, Bytes::from_static(b"what it claims to be"))]).await.is_err());
}

async fn a_blob_larger_than_a_batch_comes_back(store: &dyn BlobStore) {
    let bytes: Vec<u8> = (0..=BATCH_BYTES * 2).map(|at| u8::try_from(at % 251).expect("below 251")).collect();
    let digest = FUNCTION.digest(&bytes);
    store.put_batch(vec![(digest, bytes.clone().into())]).await.expect("stored");
    assert_eq!(store.get(&digest).await.expect("readable"), Some(bytes.into()));
}

async fn a_file_comes_back(store: &dyn BlobStore) {
    let mut file = tempfile::NamedTempFile::new().expect("temporary");
    file.write_all(b"from a file").expect("temporary");
    let (digest, bytes) = blob("from a file");
    store.put_file(&digest, file.path()).await.expect("stored");
    assert_eq!(store.get(&digest).await.expect("readable"), Some(bytes));
}

async fn a_false_file_is_refused(store: &dyn BlobStore) {
    let mut file = tempfile::NamedTempFile::new().expect("temporary");
    file.write_all(b"other").expect("temporary");
    let (digest, _) = blob("expected");
    assert!(store.put_file(&digest, file.path()).await.is_err());
    assert_eq!(store.find_missing(&[digest]).await.expect("an answer"), [digest]);
}

async fn a_blob_goes_into_a_file(store: &dyn BlobStore) {
    let file = tempfile::NamedTempFile::new().expect("temporary");
    fs::write(file.path(), "what was there before, which is longer").expect("temporary");
    let large: String = (0..BATCH_BYTES / 2).map(|at| if at % 7 == 0 { "abcd" } else { "xyz" }).collect();
    for text in ["into a file", "", &large] {
        let (digest, bytes) = blob(text);
        store.put_batch(vec![(digest, bytes)]).await.expect("stored");
        assert!(store.get_file(&digest, file.path()).await.expect("readable"));
        assert!(fs::read(file.path()).expect("written") == text.as_bytes());
    }
    assert!(!store.get_file(&blob("never put").0, file.path()).await.expect("an answer"));
}

#[tokio::test]
async fn the_memory_store_conforms() {
    conforms(&MemoryBlobStore::default()).await;
}

fn file_store() -> (tempfile::TempDir, FileBlobStore) {
    let directory = tempfile::tempdir().expect("temporary");
    let store = FileBlobStore::open(directory.path()).expect("made");
    (directory, store)
}

#[tokio::test]
async fn the_file_store_conforms() {
    let (_directory, store) = file_store();
    conforms(&store).await;
}

#[tokio::test]
async fn blobs_outlive_the_store() {
    let (directory, store) = file_store();
    let (digest, bytes) = blob("kept");
    store.put_batch(vec![(digest, bytes.clone())]).await.expect("stored");
    drop(store);
    let again = FileBlobStore::open(directory.path()).expect("there");
    assert_eq!(again.get(&digest).await.expect("readable"), Some(bytes));
}

/// Overwrites a stored file as a failing disk would.
fn damage(path: &std::path::Path, bytes: &[u8]) {
    fs::remove_file(path).expect("there");
    fs::write(path, bytes).expect("writable");
}

#[tokio::test]
async fn a_flipped_bit_is_never_served_and_the_blob_counts_as_absent() {
    let (_directory, store) = file_store();
    let (digest, bytes) = blob("precious");
    store.put_batch(vec![(digest, bytes)]).await.expect("stored");
    damage(&store.path(&digest, false), b"pre\x00ious");
    assert_eq!(store.get(&digest).await.expect("an answer"), None);
    assert_eq!(store.find_missing(&[digest]).await.expect("an answer"), [digest]);
}

#[test]
fn the_last_bytes_of_a_corrupt_blob_are_never_read() {
    use std::io::Read;
    let (_directory, store) = file_store();
    let bytes = vec![7; 1000];
    let digest = FUNCTION.digest(&bytes);
    store.write(&digest, &bytes).expect("stored");
    let read_in_pieces = || {
        let mut reader = store.open_read(&digest).expect("an answer").expect("there");
        let mut read = Vec::new();
        let mut piece = [0; 300];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(read),
                Ok(count) => read.extend_from_slice(&piece[..count]),
                Err(error) => return Err((read.len(), error.kind())),
            }
        }
    };
    assert_eq!(read_in_pieces().expect("whole"), bytes);
    let mut flipped = bytes.clone();
    flipped[500] = 8;
    damage(&store.path(&digest, false), &flipped);
    assert_eq!(read_in_pieces(), Err((900, std::io::ErrorKind::InvalidData)));
    assert!(!store.contains(&digest).expect("an answer"));
}

#[tokio::test]
async fn a_torn_file_counts_as_absent_and_can_be_put_again() {
    let (directory, store) = file_store();
    let (digest, bytes) = blob("precious");
    store.put_batch(vec![(digest, bytes.clone())]).await.expect("stored");
    damage(&store.path(&digest, false), b"pre");
    assert_eq!(store.find_missing(&[digest]).await.expect("an answer"), [digest]);
    damage_again(&store, &digest);
    assert!(!store.link_to(&digest, false, &directory.path().join("link")).expect("an answer"));
    store.put_batch(vec![(digest, bytes.clone())]).await.expect("stored");
    assert_eq!(store.get(&digest).await.expect("readable"), Some(bytes));
}

fn damage_again(store: &FileBlobStore, digest: &Digest) {
    fs::write(store.path(digest, false), b"pre").expect("writable");
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_an_error_and_not_a_miss() {
    let (directory, store) = file_store();
    let (digest, bytes) = blob("precious");
    store.put_batch(vec![(digest, bytes)]).await.expect("stored");
    // A link to itself gives ELOOP, to root as well.
    let prefix = store.path(&digest, false).parent().expect("has one").to_owned();
    fs::rename(&prefix, directory.path().join("away")).expect("movable");
    std::os::unix::fs::symlink(&prefix, &prefix).expect("free");
    assert!(matches!(store.get(&digest).await, Err(StoreError::Io { .. })));
    assert!(matches!(store.find_missing(&[digest]).await, Err(StoreError::Io { .. })));
}

#[test]
fn links_have_the_wanted_mode_and_share_the_file() {
    use std::os::unix::fs::MetadataExt;
    let (directory, store) = file_store();
    let (digest, bytes) = blob("#!/bin/sh");
    store.write(&digest, &bytes).expect("stored");
    let place = |name: &str| directory.path().join(name);
    for (name, executable) in [("a", false), ("b", true), ("c", true)] {
        assert!(store.link_to(&digest, executable, &place(name)).expect("linked"));
    }
    let metadata = |name: &str| fs::metadata(place(name)).expect("there");
    assert_eq!(metadata("a").mode() & 0o777, 0o444);
    assert_eq!(metadata("b").mode() & 0o777, 0o555);
    assert_eq!(metadata("b").ino(), metadata("c").ino());
    assert_ne!(metadata("a").ino(), metadata("b").ino());
}

#[test]
fn a_linker_tells_what_is_not_there_and_links_the_rest_in_the_wanted_mode() {
    use std::os::unix::fs::MetadataExt;
    let (directory, store) = file_store();
    let place = directory.path().join("place");
    fs::create_dir(&place).expect("temporary");
    let open = fs::File::open(&place).expect("there");
    let ([plain, torn, absent], bytes) = (["plain", "torn", "absent"].map(|text| blob(text).0), blob("plain").1);
    store.write(&plain, &bytes).expect("stored");
    store.write(&torn, b"torn").expect("stored");
    damage(&store.path(&torn, false), b"to");
    let linker = Linker::open(store.clone(), FUNCTION).expect("readable");
    let link = |digest, executable, name| linker.link(digest, executable, &open, &place, name).expect("an answer");
    assert!(link(&plain, false, "a") && link(&plain, true, "b"));
    assert!(!link(&torn, false, "c") && !link(&absent, false, "d"));
    let mode = |name: &str| fs::metadata(place.join(name)).expect("there").mode() & 0o777;
    assert_eq!((mode("a"), mode("b")), (0o444, 0o555));
    assert_eq!(fs::read_dir(&place).expect("there").count(), 2, "nothing torn or absent is left there");
    assert!(!store.contains(&torn).expect("an answer"));
}
