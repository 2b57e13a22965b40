use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::digest::{Digest, DigestFunction};
use crate::nix::tests::Nix;
use crate::store::{BATCH_BYTES, BlobStore, Directory, MemoryBlobStore, Node};

pub(super) const FUNCTION: DigestFunction = DigestFunction::Blake3;
pub(super) const LIMIT: u64 = 1 << 30;

/// A tree with every kind of entry, written to a path.
fn tree(at: &Path) {
    let file = |name: &str, bytes: &[u8], mode| {
        std::fs::write(at.join(name), bytes).expect("temporary");
        std::fs::set_permissions(at.join(name), std::fs::Permissions::from_mode(mode)).expect("temporary");
    };
    std::fs::create_dir_all(at.join("directory/empty")).expect("temporary");
    std::fs::create_dir_all(at.join("directory-/a")).expect("temporary");
    let large: Vec<u8> = (0..3 * BATCH_BYTES + 5).map(|index| u8::try_from(index % 251).expect("small")).collect();
    for size in 0..=9 {
        file(&format!("size-{size}"), &large[..size], 0o644);
    }
    file("directory/large", &large, 0o755);
    file("directory/program", b"#!", 0o755);
    file("directory.txt", b"sorted between", 0o644);
    file("é", b"not ASCII", 0o644);
    file("Z", b"upper case", 0o644);
    symlink("directory/program", at.join("link")).expect("temporary");
    symlink("/nowhere/at all", at.join("directory-/a/dangling")).expect("temporary");
}

/// Puts what lies at a path into the store.
fn import<'a>(store: &'a dyn BlobStore, at: PathBuf) -> std::pin::Pin<Box<dyn Future<Output = Node> + 'a>> {
    Box::pin(async move {
        let metadata = at.symlink_metadata().expect("there");
        if metadata.is_symlink() {
            let target = at.read_link().expect("a link").into_os_string().into_string().expect("UTF-8");
            return Node::Symlink { target };
        }
        if metadata.is_file() {
            let bytes = std::fs::read(&at).expect("readable");
            let digest = store.put(FUNCTION, bytes.into()).await.expect("memory");
            return Node::File { digest, executable: metadata.permissions().mode() & 0o100 != 0 };
        }
        let mut directory = Directory::default();
        for entry in at.read_dir().expect("readable") {
            let entry = entry.expect("readable");
            let node = import(store, entry.path()).await;
            directory.insert(entry.file_name().into_string().expect("UTF-8"), node).expect("unique");
        }
        Node::Directory { digest: store.put(FUNCTION, directory.encode().into()).await.expect("memory") }
    })
}

pub(super) async fn archive(store: &dyn BlobStore, root: Node) -> Result<Vec<u8>, NarError> {
    let scratch = TempDir::new().expect("temporary");
    let bytes = write_nar(store, root, scratch.path(), Vec::new()).await?;
    assert_eq!(scratch.path().read_dir().expect("there").count(), 0);
    Ok(bytes)
}

pub(super) async fn unpack(store: &dyn BlobStore, bytes: &[u8]) -> Result<Unpacked, NarError> {
    unpack_nar(std::io::Cursor::new(bytes.to_vec()), store, FUNCTION, &std::env::temp_dir(), LIMIT).await
}

/// Returns the strings of an archive in its form.
pub(super) fn strings(values: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        let length = value.len() as u64;
        bytes.extend(length.to_le_bytes());
        bytes.extend(value.bytes());
        bytes.extend(vec![0; padding(length)]);
    }
    bytes
}

#[tokio::test]
async fn archives_are_those_of_nix_in_both_directions() {
    let nix = Nix::new();
    tree(&nix.path("tree"));
    for name in
        ["tree", "tree/directory/program", "tree/size-0", "tree/directory/large", "tree/link", "tree/directory/empty"]
    {
        let at = nix.path(name);
        let expected = nix.run("nix-store", &["--dump", &at.display().to_string()]).stdout;
        assert!(!expected.is_empty());
        let store = MemoryBlobStore::default();
        let root = import(&store, at.clone()).await;
        assert!(archive(&store, root.clone()).await.expect("whole") == expected, "{name}");
        let (nar, references) = nar_facts(&store, root.clone(), &nix.path(""), []).await.expect("whole");
        assert!(references.is_empty());
        let hash = nix.succeed("nix-hash", &["--type", "sha256", &at.display().to_string()]);
        assert_eq!((nar.hash(), nar.size()), (hash, expected.len() as u64));
        let other = MemoryBlobStore::default();
        assert_eq!(unpack(&other, &expected).await.expect("made by Nix"), Unpacked { root: root.clone(), nar });
        assert!(archive(&other, root).await.expect("whole") == expected, "{name}");
    }
}

#[tokio::test]
async fn references_are_those_that_nix_finds() {
    let nix = Nix::new();
    let expression = r#"derivation { name = "user"; system = builtins.currentSystem; builder = "/bin/sh"; a = builtins.toFile "a" "";
        b = builtins.toFile "b" ""; args = [ "-c" "read x < $a; echo $a > $out" ]; }"#;
    let drv = nix.succeed("nix-instantiate", &["--expr", expression]);
    let references = nix.succeed("nix-store", &["--query", "--references", &drv]);
    let candidates: Vec<_> = references.lines().map(|path| path.parse().expect("made by Nix")).collect();
    let other = crate::nix::StorePath::from_base_name("0123456789abcdfghijklmnpqrsvwxyz-x").expect("valid");
    let store = MemoryBlobStore::default();
    let root = import(&store, nix.real_path(&drv)).await;
    let all = candidates.iter().cloned().chain([other]);
    let (_, found) = nar_facts(&store, root, &nix.path(""), all).await.expect("whole");
    assert_eq!(candidates.len(), 2);
    assert_eq!(found, candidates.into_iter().collect());
}

#[tokio::test]
async fn a_blob_that_is_gone_and_a_sink_that_refuses_are_told() {
    struct Refusing;
    impl std::io::Write for Refusing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let store = MemoryBlobStore::default();
    for size in [1, BATCH_BYTES + 1] {
        let digest = Digest::parse(FUNCTION, &"0".repeat(64), size).expect("valid");
        let error = archive(&store, Node::File { digest, executable: false }).await.expect_err("it is not there");
        assert!(matches!(error, NarError::Store(crate::store::StoreError::Missing { .. })), "{error:?}");
    }
    let place = TempDir::new().expect("temporary");
    tree(place.path());
    let root = import(&store, place.path().to_owned()).await;
    let error = write_nar(&store, root, &std::env::temp_dir(), Refusing).await.map(drop).expect_err("it refuses");
    assert!(matches!(error, NarError::Io { action: "write", .. }), "{error:?}");
}

#[tokio::test]
async fn directories_nested_too_deep_are_refused_in_both_directions() {
    let store = MemoryBlobStore::default();
    let dynamic: &dyn BlobStore = &store;
    let mut digest = dynamic.put(FUNCTION, Directory::default().encode().into()).await.expect("memory");
    for depth in 1..=MAX_DEPTH {
        let root = Node::Directory { digest };
        let written = archive(&store, root).await;
        assert!(written.is_ok(), "{depth}");
        assert!(unpack(&store, &written.expect("just checked")).await.is_ok(), "{depth}");
        let mut directory = Directory::default();
        directory.insert("d".into(), Node::Directory { digest }).expect("free");
        digest = dynamic.put(FUNCTION, directory.encode().into()).await.expect("memory");
    }
    let error = archive(&store, Node::Directory { digest }).await;
    assert!(matches!(error, Err(NarError::TooLarge { what: "levels", .. })));
    let mut values = vec![MAGIC];
    values.extend(["(", "type", "directory", "entry", "(", "name", "d", "node"].repeat(100_000));
    let error = unpack(&store, &strings(&values)).await;
    assert!(matches!(error, Err(NarError::TooLarge { what: "levels", .. })), "{error:?}");
}
