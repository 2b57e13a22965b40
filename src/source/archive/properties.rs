//! What holds for any bytes given as an archive: the tests and the fuzz targets try to refute it.

use std::io::Cursor;

use super::{ArchiveKind, Limits, unpack_from};
use crate::source::export::walk;
use crate::source::special::resolve;
use crate::spec::{GitId, RelativePath, Special};
use crate::store::GitStore;

/// An archive is unpacked whole, or refused with nothing left of it.
///
/// # Panics
/// When that does not hold.
pub fn archive(bytes: &[u8]) {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let git = GitStore::open(directory.path(), &[]).expect("a repository can be made");
    let mut sealed = bytes.to_vec();
    seal(&mut sealed);
    for (kind, bytes) in [(ArchiveKind::Tar, bytes), (ArchiveKind::Zip, bytes), (ArchiveKind::Zip, &sealed)] {
        let before = packs(&git);
        match unpack_from(&git, Cursor::new(bytes), kind, &RelativePath::root(), &limits()) {
            Ok(tree) => whole(&git, tree),
            Err(_) => assert_eq!(packs(&git), before, "something is left"),
        }
    }
}

fn limits() -> Limits {
    Limits { max_entries: 1000, max_bytes: 8 << 20, max_file_bytes: 4 << 20, ..Limits::default() }
}

fn packs(git: &GitStore) -> usize {
    std::fs::read_dir(git.path().join("objects/pack")).map_or(0, Iterator::count)
}

fn whole(git: &GitStore, tree: GitId) {
    let walk = walk(git, tree).expect("what was written can be read").expect("the tree is there");
    for blob in walk.blobs {
        let found = git.blob(blob).expect("a blob can be read");
        assert!(found.is_some(), "blob {blob} of tree {tree} is not there");
    }
    let ignored = resolve(git, tree, Special::Ignore);
    assert!(ignored.is_ok(), "symlinks cannot be left out of {tree}");
    let _ = resolve(git, tree, Special::ResolvePartially);
    let _ = resolve(git, tree, Special::ResolveCompletely);
}

/// Makes the checksums of a 7z archive right, behind which nothing random would come.
pub(super) fn seal(bytes: &mut [u8]) {
    let Some(place) = list_of(bytes) else { return };
    let sum = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let of_list = sum(&bytes[place]);
    bytes[28..32].copy_from_slice(&of_list);
    let of_start = sum(&bytes[12..32]);
    bytes[8..12].copy_from_slice(&of_start);
}

/// Returns where the list of a 7z archive lies, when it is one.
pub(super) fn list_of(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let start = usize::try_from(number(12)?).ok()?.checked_add(32)?;
    let end = start.checked_add(usize::try_from(number(20)?).ok()?)?;
    bytes.get(start..end).map(|_| start..end)
}
