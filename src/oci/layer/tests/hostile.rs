//! Archives that no careful program writes.

use tar::{EntryType, Header};

use super::*;

/// Returns an entry with a name and a target as they are given.
fn entry(kind: EntryType, name: &[u8], target: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    let ustar = header.as_ustar_mut().expect("it is one");
    ustar.name[..name.len()].copy_from_slice(name);
    ustar.linkname[..target.len()].copy_from_slice(target);
    header.set_cksum();
    [header.as_bytes(), content, &[0; BLOCK][..padding(content.len() as u64)]].concat()
}

fn file(name: &str, content: &str) -> Vec<u8> {
    entry(EntryType::Regular, name.as_bytes(), b"", content.as_bytes())
}

fn directory(name: &str) -> Vec<u8> {
    entry(EntryType::Directory, name.as_bytes(), b"", b"")
}

fn link(name: &str, target: &str) -> Vec<u8> {
    entry(EntryType::Link, name.as_bytes(), target.as_bytes(), b"")
}

fn symlink(name: &str, target: &str) -> Vec<u8> {
    entry(EntryType::Symlink, name.as_bytes(), target.as_bytes(), b"")
}

fn pax(key: &str, value: &[u8]) -> Vec<u8> {
    let mut records = Vec::new();
    super::super::pax::append(&mut records, key.as_bytes(), value);
    entry(EntryType::XHeader, b"x", b"", &records)
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [&entries.concat()[..], &[0; 2 * BLOCK]].concat()
}

async fn refused(entries: &[Vec<u8>]) -> LayerError {
    read(&MemoryBlobStore::default(), &archive(entries)).await.expect_err("it is bad")
}

/// Reads an archive and returns the paths of its files with their content, its symlinks, and its attributes.
async fn taken(entries: &[Vec<u8>]) -> (Vec<(String, String)>, Attributes) {
    let store = MemoryBlobStore::default();
    let read = read(&store, &archive(entries)).await.expect("valid");
    let tree = crate::store::collect_tree(&store, read.root).await.expect("whole");
    let listing = crate::store::Listing::parse(read.root, &tree).expect("valid");
    let mut files = Vec::new();
    for file in listing.files {
        let bytes = store.get(&file.digest).await.expect("memory").expect("stored");
        files.push((file.path, String::from_utf8(bytes.to_vec()).expect("text")));
    }
    written(&store, read.root, &read.attributes).await;
    (files, read.attributes)
}

fn files(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    for name in ["../a", "a/../../b", "/etc/passwd", "..", "a/.."] {
        for entry in [file(name, "x"), directory(name), symlink(name, "x")] {
            assert!(matches!(refused(&[entry]).await, LayerError::Entry { .. }), "{name}");
        }
        assert!(matches!(refused(&[file("b", ""), link("c", name)]).await, LayerError::Entry { .. }), "{name}");
        assert!(matches!(refused(&[pax("path", name.as_bytes()), file("b", "")]).await, LayerError::Entry { .. }));
    }
    let bad = [
        vec![pax("path", b"a\0b"), file("a", "")],
        vec![pax("path", b"\xff"), file("a", "")],
        vec![pax("path", "n".repeat(256).as_bytes()), file("a", "")],
        vec![pax("path", "n/".repeat(257).as_bytes()), file("a", "")],
        vec![file("", "")],
        vec![file("./", ""), file("", "")],
        vec![entry(EntryType::Regular, b"\xff", b"", b"")],
        vec![symlink("a", "")],
        vec![pax("linkpath", b"a\0b"), symlink("a", "x")],
        vec![symlink("a", "/etc"), file("a/passwd", "x")],
        vec![file("a", ""), file("a/b", "")],
        vec![link("a", "b")],
        vec![link("a", "b"), file("b", "")],
        vec![directory("b"), link("a", "b")],
        vec![entry(EntryType::Link, b"a", b"b", b"content")],
        vec![entry(EntryType::new(b'V'), b"a", b"", b"")],
        vec![entry(EntryType::Regular, b".", b"", b"")],
        vec![pax("uid", b"4294967296"), file("a", "")],
        vec![pax("SCHILY.xattr.user.a", &[0; (64 << 10) + 1]), file("a", "")],
    ];
    for entries in bad {
        let error = refused(&entries).await;
        assert!(matches!(error, LayerError::Entry { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn headers_that_lie_are_refused() {
    let mut broken = file("a", "");
    broken[0] ^= 1;
    let bad = [
        vec![broken],
        vec![pax("size", b"x"), file("a", "")],
        vec![pax("mtime", b"never"), file("a", "")],
        vec![pax("GNU.sparse.major", b"1"), file("a", "")],
        vec![pax("path", b"a")],
        vec![entry(EntryType::XHeader, b"x", b"", b"garbage"), file("a", "")],
        vec![entry(EntryType::XGlobalHeader, b"x", b"", b"10 path=x\n"), file("a", "")],
        vec![vec![0; BLOCK], file("a", "")],
    ];
    for entries in bad {
        let error = refused(&entries).await;
        assert!(matches!(error, LayerError::Syntax { .. }), "{error:?}");
    }
    let trailing = [&archive(&[file("a", "")])[..], b"more"].concat();
    let error = read(&MemoryBlobStore::default(), &trailing).await;
    assert!(matches!(error, Err(LayerError::Syntax { .. })), "{error:?}");
}

#[tokio::test]
async fn where_it_may_a_layer_stops_after_an_entry_and_nowhere_else() {
    let store = MemoryBlobStore::default();
    let whole = archive(&[file("a", "x"), file("b", "y")]);
    let entries = whole.len() - 2 * BLOCK;
    let options = LayerOptions { open_end: true, ..LayerOptions::default() };
    for length in 0..=whole.len() {
        let read = read_with(&store, &whole[..length], options).await;
        let unfilled = [BLOCK + 1, 3 * BLOCK + 1];
        let ends = [0, 2 * BLOCK, entries, whole.len()].contains(&length) || unfilled.contains(&length);
        assert_eq!(read.is_ok(), ends, "{length}: {read:?}");
    }
}

#[tokio::test]
async fn a_layer_that_is_cut_is_noticed_in_every_form() {
    let store = MemoryBlobStore::default();
    let root = tree(&store, &[("a", b"x", false), ("b/c", &[1; 700], false)], &[]).await;
    for compression in FORMS {
        let (_, bytes) = form(&store, root, &Attributes::default(), compression).await;
        for length in (0..bytes.len()).step_by(if compression == LayerCompression::None { 37 } else { 1 }) {
            let error = read(&store, &bytes[..length]).await;
            assert!(error.is_err(), "{compression:?} {length}");
            if compression == LayerCompression::None {
                assert!(matches!(error, Err(LayerError::Truncated { .. })), "{length}: {error:?}");
            }
        }
        if compression != LayerCompression::None {
            let error = read(&store, &[&bytes[..], b"garbage"].concat()).await;
            assert!(error.is_err(), "{compression:?}");
        }
    }
}

#[tokio::test]
async fn limits_are_kept() {
    let options = LayerOptions::default();
    let limited = |bytes: Vec<u8>, options| async move {
        let scratch = tempfile::tempdir().expect("temporary");
        let store = MemoryBlobStore::default();
        read_layer(Cursor::new(bytes), &store, FUNCTION, scratch.path(), options).await
    };
    let bytes = archive(&[file("a/b", "x")]);
    let enough = LayerOptions { max_entries: 2, max_bytes: bytes.len() as u64, ..options };
    limited(bytes.clone(), enough).await.expect("just as much");
    for too_small in
        [LayerOptions { max_entries: 1, ..enough }, LayerOptions { max_bytes: enough.max_bytes - 1, ..enough }]
    {
        let error = limited(bytes.clone(), too_small).await;
        assert!(matches!(error, Err(LayerError::TooLarge { .. })), "{error:?}");
    }
    let store = MemoryBlobStore::default();
    let root = tree(&store, &[("zeros", &[0; 1 << 20], false)], &[]).await;
    let (_, bomb) = form(&store, root, &Attributes::default(), LayerCompression::Gzip).await;
    limited(bomb.clone(), options).await.expect("small");
    let error = limited(bomb, LayerOptions { ratio_free_bytes: 1 << 19, ..options }).await;
    assert!(matches!(error, Err(LayerError::TooLarge { limit: 200, .. })), "{error:?}");
    let header = entry(EntryType::XHeader, b"x", b"", &vec![b'x'; (1 << 20) + 1]);
    assert!(matches!(refused(&[header]).await, LayerError::TooLarge { .. }));
}

#[tokio::test]
async fn of_entries_with_one_path_the_later_wins() {
    let (found, attributes) = taken(&[file("a", "1"), link("b", "a"), file("a", "2")]).await;
    assert_eq!(found, files(&[("a", "2"), ("b", "1")]));
    assert!(attributes.exceptions.is_empty());
    let (found, _) = taken(&[directory("d"), file("d/x", "1"), file("d", "2")]).await;
    assert_eq!(found, files(&[("d", "2")]));
    let (found, _) = taken(&[file("d", "1"), directory("d/"), file("d/x", "2")]).await;
    assert_eq!(found, files(&[("d/x", "2")]));
    let owned = [pax("uid", b"9"), directory("d")].concat();
    let (found, attributes) = taken(&[directory("d"), file("d/x", "1"), owned]).await;
    assert_eq!(found, files(&[("d/x", "1")]));
    let metadata = Metadata { uid: 9, mode: Some(0o644), ..Metadata::default() };
    assert_eq!(attributes.exceptions[&path("d")], Exception::Node(metadata));
}

#[tokio::test]
async fn names_of_whiteouts_mean_what_they_say() {
    let (found, attributes) = taken(&[
        file("d/.wh.gone", ""),
        file("e/.wh..wh..opq", ""),
        file(".wh.f", "content"),
        file("f/x", "x"),
        file(".wh.g", ""),
        file("g", "g"),
        directory(".wh..wh.plnk"),
        file(".wh..wh.plnk/1", "x"),
    ])
    .await;
    assert_eq!(found, files(&[("f/x", "x"), ("g", "g")]));
    let expected = [
        ("d", Exception::Implied { opaque: false }),
        ("d/gone", Exception::Whiteout),
        ("e", Exception::Implied { opaque: true }),
        ("f", Exception::Opaque(Metadata::default())),
    ];
    assert_eq!(attributes.exceptions, expected.into_iter().map(|(at, exception)| (path(at), exception)).collect());
    for bad in [".wh.", ".wh...", ".wh..", ".wh.a/b", ".wh.a/.wh..wh..opq/x"] {
        let error = read(&MemoryBlobStore::default(), &archive(&[file(bad, "")])).await;
        assert_eq!(error.is_err(), bad != ".wh.a/.wh..wh..opq/x", "{bad}");
    }
}

#[tokio::test]
async fn attributes_that_belong_to_the_host_are_left_out() {
    let (_, attributes) = taken(&[
        pax("SCHILY.xattr.security.selinux", b"label"),
        pax("SCHILY.xattr.user.kept", b"a\nb"),
        pax("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        file("a", ""),
    ])
    .await;
    let Exception::Node(metadata) = &attributes.exceptions[&path("a")] else { panic!("{attributes:?}") };
    assert_eq!(metadata.xattrs, BTreeMap::from([("user.kept".to_owned(), b"a\nb".to_vec())]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_changed_archive_is_refused_or_what_is_read_can_be_written(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = archive(&[
            directory("d"),
            file("d/a", "content"),
            link("d/b", "d/a"),
            pax("SCHILY.xattr.user.a", b"v"),
            symlink("s", "d"),
            file("d/.wh.x", ""),
            entry(EntryType::Fifo, b"f", b"", b""),
        ]);
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let store = MemoryBlobStore::default();
            match read(&store, &bytes).await {
                Ok(layer) => {
                    let again = written(&store, layer.root, &layer.attributes).await;
                    let same = super::read(&store, &again).await.expect("valid");
                    assert_eq!((same.root, same.attributes), (layer.root, layer.attributes));
                }
                Err(_) => assert!(!changes.is_empty()),
            }
        });
    }
}

/// Returns a sparse file of version 1.0: what its records say, its map and content.
fn sparse(real_size: &str, content: &str) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for (key, value) in [("major", "1"), ("minor", "0"), ("name", "s"), ("realsize", real_size)] {
        super::super::pax::append(&mut records, format!("GNU.sparse.{key}").as_bytes(), value.as_bytes());
    }
    vec![entry(EntryType::XHeader, b"x", b"", &records), file("GNUSparseFile.0/s", content)]
}

fn mapped(map: &str, content: &str) -> String {
    format!("{map:\0<512}{content}")
}

#[tokio::test]
async fn the_map_of_a_sparse_file_is_kept_to_or_refused() {
    let (found, _) = taken(&sparse("7", &mapped("2\n1\n2\n5\n1\n", "abc"))).await;
    assert_eq!(found, files(&[("s", "\0ab\0\0c\0")]));
    for (real_size, content) in [
        ("7", mapped("2\n1\n2\n5\n1\n", "ab")),
        ("7", mapped("2\n1\n2\n5\n1\n", "abcd")),
        ("5", mapped("2\n1\n2\n5\n1\n", "abc")),
        ("7", mapped("2\n5\n1\n1\n2\n", "abc")),
        ("7", mapped("2\n1\n2\n2\n1\n", "abc")),
        ("7", mapped("3\n1\n2\n5\n1\n", "abc")),
        ("7", mapped("9999999999999999999999\n", "")),
        ("7", mapped("1\n18446744073709551615\n1\n", "a")),
        ("7", mapped("-1\n", "")),
        ("7", mapped("\n", "")),
        ("7", String::new()),
        ("7", "1\n".to_owned()),
    ] {
        let error = refused(&sparse(real_size, &content)).await;
        assert!(matches!(error, LayerError::Entry { .. }), "{real_size} {content:?}: {error:?}");
    }
    let huge = refused(&sparse(&(1_u64 << 60).to_string(), &mapped("0\n", ""))).await;
    assert!(matches!(huge, LayerError::TooLarge { what: "bytes", .. }), "{huge:?}");
    let (found, _) = taken(&[sparse("1", &mapped("1\n0\n1\n", "a")), vec![file("t", "t")]].concat()).await;
    assert_eq!(found, files(&[("s", "a"), ("t", "t")]));
}
