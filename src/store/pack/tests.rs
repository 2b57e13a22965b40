use std::process::Command;

use super::*;
use crate::store::GitEntryKind;

fn store() -> (tempfile::TempDir, GitStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = GitStore::open(&directory.path().join("git"), &[]).unwrap();
    (directory, store)
}

fn git(store: &GitStore, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(store.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn files(store: &GitStore) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(store.path().join("objects/pack"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Bytes that do not compress.
fn noise(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}

#[test]
fn git_finds_every_object_of_a_pack_right() {
    let (_directory, store) = store();
    let mut pack = store.pack().unwrap();
    let large = noise(usize::try_from(HELD_BYTES).unwrap() + 12345);
    let zeros = vec![0; 20 << 20];
    let blobs = [b"".as_slice(), b"x", &noise(15), &noise(16), &noise(2048), &large, &zeros];
    let entries = blobs.iter().enumerate().map(|(index, blob)| {
        let id = pack.blob_from(*blob, blob.len() as u64).unwrap();
        assert_eq!(id, super::super::blob_id(blob));
        GitEntry { name: format!("f{index}"), kind: GitEntryKind::File, id }
    });
    let entries: Vec<GitEntry> = entries.collect();
    let tree = pack.tree(entries.clone()).unwrap();
    pack.finish().unwrap();
    assert_eq!(store.tree(tree).unwrap().unwrap(), entries);
    assert_eq!(store.blob(entries[5].id).unwrap().unwrap(), large);
    git(&store, &["fsck", "--strict", "--full"]);
    let index = files(&store).into_iter().find(|name| name.ends_with(".idx")).unwrap();
    git(&store, &["verify-pack", &format!("objects/pack/{index}")]);
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let (_directory, store) = store();
    let large = noise(usize::try_from(HELD_BYTES).unwrap() + 1);
    let mut pack = store.pack().unwrap();
    for _ in 0..3 {
        pack.blob(b"small").unwrap();
        pack.blob_from(&*large, large.len() as u64).unwrap();
    }
    let last = pack.blob(b"last").unwrap();
    assert!(pack.offset < HELD_BYTES + (1 << 20), "{}", pack.offset);
    pack.finish().unwrap();
    git(&store, &["fsck", "--strict", "--full"]);
    assert_eq!(store.blob(last).unwrap().unwrap(), b"last");
    assert_eq!(files(&store).len(), 2);

    let mut again = store.pack().unwrap();
    again.blob_from(&*large, large.len() as u64).unwrap();
    again.blob(b"small").unwrap();
    again.finish().unwrap();
    assert_eq!(files(&store).len(), 2);
}

#[test]
fn a_pack_that_is_not_finished_leaves_nothing() {
    let (_directory, store) = store();
    let mut pack = store.pack().unwrap();
    let id = pack.blob(b"x").unwrap();
    drop(pack);
    assert!(files(&store).is_empty() && !store.contains(id).unwrap());
}

#[test]
fn a_blob_of_another_size_than_was_said_is_refused() {
    let (_directory, store) = store();
    for size in [10, HELD_BYTES + 10] {
        let bytes = noise(usize::try_from(size).unwrap());
        for wrong in [size - 1, size + 1] {
            let error = store.pack().unwrap().blob_from(&*bytes, wrong).unwrap_err();
            assert!(matches!(error, PackError::Size { expected } if expected == wrong), "{error}");
        }
    }
}

#[test]
fn offsets_beyond_two_gibibytes_have_a_table_of_their_own() {
    let id = |byte: u8| GitId::from_bytes([byte; 20]);
    let at = |offset| Packed { offset, crc: 0 };
    let bytes = index::encode(vec![(id(9), at(LARGE)), (id(1), at(12)), (id(7), at(LARGE - 1))], [0; 20]);
    let offsets = &bytes[8 + 1024 + 3 * 24..];
    let expected = [[0, 0, 0, 12], [0x7f, 0xff, 0xff, 0xff], [0x80, 0, 0, 0], [0, 0, 0, 0], [0x80, 0, 0, 0]];
    assert_eq!(&offsets[..20], expected.concat());
    assert_eq!(offsets.len(), 20 + 40);
}

const LARGE: u64 = 1 << 31;
