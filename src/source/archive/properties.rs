//! What holds for any bytes given as an archive: the tests and the fuzz targets try to refute it.

use std::io::Cursor;

use super::{ArchiveKind, Limits, unpack_from};
use crate::source::export::walk;
use crate::source::special::resolve;
use crate::spec::{RelativePath, Special};
use crate::store::GitStore;

/// An archive is unpacked whole, or refused with nothing left of it.
///
/// # Panics
/// When that does not hold.
pub fn archive(bytes: &[u8]) {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let git = GitStore::open(directory.path(), &[]).expect("a repository can be made");
    let limits = Limits { max_entries: 1000, max_bytes: 8 << 20, max_file_bytes: 4 << 20, ..Limits::default() };
    for kind in [ArchiveKind::Tar, ArchiveKind::Zip] {
        match unpack_from(&git, Cursor::new(bytes), kind, &RelativePath::root(), &limits) {
            Ok(tree) => {
                let walk = walk(&git, tree).expect("what was written can be read").expect("the tree is there");
                for blob in walk.blobs {
                    let found = git.blob(blob).expect("a blob can be read");
                    assert!(found.is_some(), "blob {blob} of tree {tree} is not there");
                }
                let ignored = resolve(&git, tree, Special::Ignore);
                assert!(ignored.is_ok(), "symlinks cannot be left out of {tree}");
                let _ = resolve(&git, tree, Special::ResolvePartially);
                let _ = resolve(&git, tree, Special::ResolveCompletely);
            }
            Err(_) => {
                let left = std::fs::read_dir(git.path().join("objects/pack")).map(Iterator::count);
                assert!(kind == ArchiveKind::Zip || left.is_ok_and(|left| left == 0), "something is left");
            }
        }
    }
}
