//! What a daemon derives, and that it derives it once.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::source::ArchiveKind;
use crate::spec::Special;
use crate::store::{Database, MemoryBlobStore};

const FUNCTION: DigestFunction = DigestFunction::Sha256;

struct Fixture {
    directory: tempfile::TempDir,
    sources: Sources,
    store: Arc<MemoryBlobStore>,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryBlobStore::default());
    let git = GitStore::open(&directory.path().join("git"), &[]).unwrap();
    let maps = SourceMaps::new(Database::open(&directory.path().join("database"), u64::MAX).unwrap());
    let options = Arc::new(SourceOptions::new(directory.path()));
    let sources = Sources::new(git, maps, store.clone(), FUNCTION, options);
    Fixture { directory, sources, store }
}

/// Returns a tar archive with one file and a symlink to it.
fn archive(content: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), content).unwrap();
    std::os::unix::fs::symlink("file", directory.path().join("link")).unwrap();
    let output = Command::new("tar").arg("-C").arg(directory.path()).args(["-c", "."]).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Returns the Git blob id of bytes, as `git` computes it.
fn blob(bytes: &[u8]) -> GitId {
    let mut command = Command::new("git");
    let child = command.args(["hash-object", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    GitId::parse(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim()).unwrap()
}

impl Fixture {
    /// Uploads a file, as a client does.
    async fn give(&self, bytes: Vec<u8>) -> GitId {
        let content = blob(&bytes);
        let digest = (&*self.store as &dyn BlobStore).put(FUNCTION, bytes.into()).await.unwrap();
        assert_eq!(self.sources.take_content(digest).await.unwrap(), content);
        content
    }

    async fn unpack(&self, content: GitId) -> Result<GitId, SourceError> {
        let root = RelativePath::root();
        let derived = self.sources.archive_tree(content, ArchiveKind::Tar, &root, &Origin::default()).await?;
        assert!(!derived.fetched);
        Ok(derived.tree)
    }
}

#[tokio::test]
async fn many_archives_are_unpacked_side_by_side() {
    let fixture = fixture();
    let mut contents = Vec::new();
    // Each is brought from the Git cache into the CAS first.
    for number in 0..12 {
        contents.push(fixture.sources.git().write_blob(&archive(&number.to_string())).unwrap());
    }
    let unpacked = futures::future::join_all(contents.iter().map(|content| fixture.unpack(*content)));
    let unpacked = tokio::time::timeout(Duration::from_secs(60), unpacked).await.expect("none waits for another");
    let trees: std::collections::HashSet<GitId> = unpacked.into_iter().map(Result::unwrap).collect();
    assert_eq!(trees.len(), 12);
}

#[tokio::test]
async fn what_was_derived_is_remembered_when_the_archive_is_gone() {
    let fixture = fixture();
    let content = fixture.give(archive("x")).await;
    let tree = fixture.unpack(content).await.unwrap();
    let other = Fixture { store: Arc::default(), ..fixture };
    let Sources { git, maps, function, options, .. } = other.sources.clone();
    let empty = Sources::new(git, maps.clone(), other.store.clone(), function, options.clone());
    let other = Fixture { sources: empty, ..other };
    assert_eq!(other.unpack(content).await.unwrap(), tree);
    // Without the tree the map is no use.
    let git = GitStore::open(&other.directory.path().join("other"), &[]).unwrap();
    let lost = Sources::new(git, maps, other.store.clone(), FUNCTION, options);
    let lost = Fixture { sources: lost, ..other };
    let error = lost.unpack(content).await.unwrap_err();
    assert!(matches!(error, SourceError::UnknownContent { content: unknown } if unknown == content), "{error}");
}

#[tokio::test]
async fn a_tree_that_only_the_cas_has_is_treated_all_the_same() {
    let fixture = fixture();
    let content = fixture.give(archive("x")).await;
    let tree = fixture.unpack(content).await.unwrap();
    fixture.sources.directory(tree).await.unwrap();
    let ignoring = fixture.sources.special_tree(tree, Special::Ignore).await.unwrap().tree;
    let Sources { maps, options, .. } = fixture.sources.clone();
    let git = GitStore::open(&fixture.directory.path().join("other"), &[]).unwrap();
    let only_cas = Sources::new(git, maps, fixture.store.clone(), FUNCTION, options);
    assert_eq!(only_cas.special_tree(tree, Special::Ignore).await.unwrap().tree, ignoring);
    let unknown = GitId::parse(&"12".repeat(20)).unwrap();
    let error = only_cas.special_tree(unknown, Special::Ignore).await.unwrap_err();
    assert!(matches!(error, SourceError::Unknown { tree } if tree == unknown), "{error}");
}

#[tokio::test]
async fn a_file_that_the_cas_has_under_another_function_is_found() {
    let fixture = fixture();
    let content = fixture.give(b"x".to_vec()).await;
    let Sources { git, maps, options, .. } = fixture.sources.clone();
    let with = |functions: &[DigestFunction]| {
        let options = SourceOptions { functions: functions.into(), ..SourceOptions::clone(&options) };
        Sources::new(git.clone(), maps.clone(), fixture.store.clone(), DigestFunction::Blake3, Arc::new(options))
    };
    let origin = Origin::default();
    assert!(with(&[]).content(content, &origin).await.is_err(), "a CAS of one function is not asked for another");
    let found = with(&DigestFunction::ALL).content(content, &origin).await.unwrap();
    assert_eq!(found.digest, DigestFunction::Blake3.digest(b"x"));
    assert!(fixture.store.find_missing(&[found.digest]).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unsound_archive_is_refused_each_time() {
    let fixture = fixture();
    let mut bytes = archive("x");
    bytes.truncate(700);
    let content = fixture.give(bytes).await;
    for _ in 0..2 {
        let error = fixture.unpack(content).await.unwrap_err();
        assert!(matches!(error, SourceError::Archive { content: bad, .. } if bad == content), "{error}");
    }
}

#[tokio::test]
async fn files_of_a_distdir_that_are_nowhere_are_told_together() {
    let fixture = fixture();
    let here = fixture.give(b"here".to_vec()).await;
    let file = |content| Distfile { content, executable: false, origin: Origin::default() };
    let [one, two] = ["12", "34"].map(|digits| GitId::parse(&digits.repeat(20)).unwrap());
    let files = [("a", here), ("b", one), ("c", two)].map(|(name, id)| (name.to_owned(), file(id)));
    let error = fixture.sources.distdir_tree(&files.clone().into()).await.unwrap_err();
    let SourceError::Distdir(crate::source::DistdirError::Unknown { files: unknown }) = error else {
        panic!("{error}")
    };
    assert_eq!(unknown, [("b".to_owned(), one), ("c".to_owned(), two)]);
    let only = files.into_iter().take(1).collect();
    assert!(!fixture.sources.distdir_tree(&only).await.unwrap().fetched);
}
