//! Archives that Nix does not write.

use std::path::Path;

use proptest::prelude::*;

use super::tests::{FUNCTION, LIMIT, archive, strings, unpack};
use super::*;
use crate::store::{BATCH_BYTES, MemoryBlobStore};

fn directory(entries: &[(&str, &[&str])]) -> Vec<u8> {
    let mut values = vec![MAGIC, "(", "type", "directory"];
    for (name, node) in entries {
        values.extend(["entry", "(", "name", name, "node"]);
        values.extend(*node);
        values.push(")");
    }
    values.push(")");
    strings(&values)
}

const FILE: &[&str] = &["(", "type", "regular", "contents", "x", ")"];
const EMPTY: &[&str] = &["(", "type", "directory", ")"];

#[tokio::test]
async fn entries_that_no_directory_can_have_are_refused() {
    let store = MemoryBlobStore::default();
    unpack(&store, &directory(&[("a", FILE), ("b", EMPTY)])).await.expect("valid");
    for name in ["", ".", "..", "a/b", "/", "a\0b", &"x".repeat(256)] {
        for node in [FILE, EMPTY] {
            let error = unpack(&store, &directory(&[(name, node)])).await.expect_err(name);
            assert!(matches!(error, NarError::Entry { .. }), "{name}: {error:?}");
        }
    }
    for (one, two) in [("b", "a"), ("a", "a"), ("a", "Z")] {
        for node in [FILE, EMPTY] {
            let error = unpack(&store, &directory(&[(one, node), (two, node)])).await.expect_err(two);
            assert!(matches!(error, NarError::Order { .. }), "{one} {two}: {error:?}");
        }
    }
    let link = |target: &str| strings(&[MAGIC, "(", "type", "symlink", "target", target, ")"]);
    unpack(&store, &link("../anywhere")).await.expect("an archive may hold it");
    for target in ["", "a\0b"] {
        assert!(matches!(unpack(&store, &link(target)).await, Err(NarError::Entry { .. })), "{target}");
    }
    assert!(matches!(unpack(&store, &link(&"x".repeat(4097))).await, Err(NarError::Syntax { .. })));
    let mut latin1 = link("ab");
    let at = latin1.windows(2).position(|pair| pair == b"ab").expect("there");
    latin1[at] = 0xe9;
    assert!(matches!(unpack(&store, &latin1).await, Err(NarError::Utf8 { .. })));
}

#[tokio::test]
async fn bytes_that_nix_does_not_write_are_refused() {
    let store = MemoryBlobStore::default();
    let valid = directory(&[("a", FILE), ("b", EMPTY)]);
    for length in 0..valid.len() {
        let error = unpack(&store, &valid[..length]).await.expect_err("cut");
        assert!(matches!(error, NarError::Truncated { .. }), "{length}: {error:?}");
    }
    let error = unpack(&store, &[&valid[..], b"\0"].concat()).await;
    assert!(matches!(error, Err(NarError::Trailing { offset }) if offset == valid.len() as u64));
    for word in [&b"nix-archive-1"[..], b"regular", b"contents", b"name", b"node", b"entry"] {
        let at = valid.windows(word.len()).position(|part| part == word).expect("there");
        for at in [at, at + word.len()] {
            let mut bytes = valid.clone();
            bytes[at] ^= 1;
            let error = unpack(&store, &bytes).await.expect_err("broken");
            assert!(matches!(error, NarError::Syntax { .. }), "{word:?}: {error:?}");
        }
    }
    let file = |words: &[&str]| strings(&[&[MAGIC, "(", "type", "regular"], words].concat());
    unpack(&store, &file(&["executable", "", "contents", "x", ")"])).await.expect("valid");
    for words in [&["executable", "x", "contents", "x", ")"][..], &["executable", "contents", "x", ")"], &[")"]] {
        assert!(matches!(unpack(&store, &file(words)).await, Err(NarError::Syntax { .. })), "{words:?}");
    }
}

#[tokio::test]
async fn sizes_that_lie_take_no_room() {
    let store = MemoryBlobStore::default();
    let head = strings(&[MAGIC, "(", "type", "regular", "contents"]);
    for (size, truncated) in [(u64::MAX, false), (LIMIT + 1, false), (LIMIT, true), (BATCH_BYTES, true)] {
        let bytes = [&head[..], &size.to_le_bytes(), b"few"].concat();
        match unpack(&store, &bytes).await {
            Err(NarError::Truncated { .. }) if truncated => {}
            Err(NarError::TooLarge { what: "bytes", .. }) if !truncated => {}
            other => panic!("{size}: {other:?}"),
        }
    }
    let valid = directory(&[("a", FILE), ("b", EMPTY)]);
    let limited = |limit| {
        let bytes = std::io::Cursor::new(valid.clone());
        unpack_nar(bytes, &store, FUNCTION, Path::new("/nowhere"), limit)
    };
    limited(valid.len() as u64).await.expect("just as large");
    let error = limited(valid.len() as u64 - 1).await;
    assert!(matches!(error, Err(NarError::TooLarge { what: "bytes", .. })), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_changed_archive_is_refused_or_read_for_what_it_is(
        names in prop::collection::btree_set("[a-c]{1,3}", 0..5),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 0..3),
    ) {
        let link: &[&str] = &["(", "type", "symlink", "target", "t", ")"];
        let kinds = [FILE, EMPTY, link];
        let entries: Vec<_> = names.iter().enumerate().map(|(at, name)| (name.as_str(), kinds[at % 3])).collect();
        let mut bytes = directory(&entries);
        for (at, byte, how) in &changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = *byte,
                1 => bytes.insert(at, *byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let store = MemoryBlobStore::default();
            match unpack(&store, &bytes).await {
                Ok(unpacked) => assert!(archive(&store, unpacked.root).await.expect("stored") == bytes),
                Err(_) => assert!(!changes.is_empty()),
            }
        });
    }
}
