//! What lies in directories, to be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What stands at a path of a tree.
#[derive(Debug, PartialEq)]
pub(crate) enum Node {
    Directory,
    File { executable: bool, size: usize, content: blake3::Hash },
    Symlink { target: PathBuf },
}

/// Returns everything below a directory.
pub(crate) fn tree(directory: &Path) -> BTreeMap<PathBuf, Node> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(&at).expect("readable") {
            let path = entry.expect("readable").path();
            let metadata = fs::symlink_metadata(&path).expect("there");
            let node = if metadata.is_dir() {
                pending.push(path.clone());
                Node::Directory
            } else if metadata.is_symlink() {
                Node::Symlink { target: fs::read_link(&path).expect("a link") }
            } else {
                let bytes = fs::read(&path).expect("readable");
                let executable = metadata.permissions().mode() & 0o111 != 0;
                Node::File { executable, size: bytes.len(), content: blake3::hash(&bytes) }
            };
            found.insert(path.strip_prefix(directory).expect("below").to_owned(), node);
        }
    }
    found
}

/// Returns every file below a directory with its mode and content, or a link's target.
pub(crate) fn contents(directory: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let read = |path: PathBuf| {
        let metadata = fs::symlink_metadata(&path).expect("there");
        let name = path.strip_prefix(directory).expect("below").display().to_string();
        if metadata.is_symlink() {
            (name, 0, fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes())
        } else {
            (name, metadata.permissions().mode() & 0o777, fs::read(&path).expect("readable"))
        }
    };
    files(directory).into_iter().map(read).collect()
}

/// Returns everything below a directory that is no directory itself, in order.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let (mut found, mut pending) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(&at).expect("readable") {
            let entry = entry.expect("readable");
            let is_directory = entry.file_type().expect("readable").is_dir();
            if is_directory { pending.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    found
}
