//! Links to environments, which keep them, and copies of them, which are the user's own.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::ClientError;
use crate::digest::DigestFunction;

/// Makes, or moves, the symlink `link` to an environment, and notes it as a GC root. Blocks.
///
/// # Errors
/// `Occupied` when something that is no symlink stands there.
pub fn link(root: &Path, environment: &Path, link: &Path) -> Result<(), ClientError> {
    let absolute = absolute_link(link)?;
    match fs::symlink_metadata(&absolute) {
        Ok(found) if !found.is_symlink() => {
            return Err(ClientError::Occupied { path: absolute, what: "no symlink" });
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(ClientError::io("look at", &absolute)(error));
        }
        _ => {}
    }
    note_root(&root.join("gcroots"), &absolute, &absolute)?;
    replace_link(environment, &absolute)
}

/// Returns the absolute form of the path of a link.
pub(super) fn absolute_link(link: &Path) -> Result<PathBuf, ClientError> {
    std::path::absolute(link).map_err(ClientError::io("find", link))
}

/// Makes a link to `target` in a directory of GC roots, the one that belongs to `link`.
pub(super) fn note_root(roots: &Path, link: &Path, target: &Path) -> Result<(), ClientError> {
    let name = DigestFunction::Sha256.digest(link.as_os_str().as_bytes()).hash();
    fs::create_dir_all(roots).map_err(ClientError::io("make the directory", roots))?;
    replace_link(target, &roots.join(&name[..32]))
}

/// Makes a symlink, replacing one that is there.
fn replace_link(target: &Path, link: &Path) -> Result<(), ClientError> {
    let mut beside = link.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    symlink(target, &beside).map_err(ClientError::io("make the symlink", &beside))?;
    fs::rename(&beside, link).map_err(ClientError::io("put in place", link))
}

/// Copies an environment to a directory that does not exist or is empty. The copy may be written to. Blocks.
///
/// # Errors
/// `Occupied` when something is there already, `NoDirectory` when the environment is a file.
pub fn install(environment: &Path, directory: &Path) -> Result<(), ClientError> {
    if !fs::symlink_metadata(environment).is_ok_and(|found| found.is_dir()) {
        return Err(ClientError::NoDirectory { path: environment.to_owned() });
    }
    install_by(directory, |made| copy(environment, made))
}

/// Makes a directory that does not exist or is empty, all at once.
pub(super) fn install_by(
    directory: &Path,
    make: impl FnOnce(&Path) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let directory = std::path::absolute(directory).map_err(ClientError::io("find", directory))?;
    match fs::remove_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            return Err(ClientError::Occupied { path: directory, what: "not empty" });
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(ClientError::Occupied { path: directory, what: "no directory" });
        }
        Err(error) => return Err(ClientError::io("replace", &directory)(error)),
        Ok(()) => {}
    }
    let parent = directory.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(ClientError::io("make the directory", parent))?;
    let beside = tempfile::Builder::new().prefix(".envserve-install-").tempdir_in(parent);
    let beside = beside.map_err(ClientError::io("make a directory in", parent))?;
    let made = beside.path().join("made");
    make(&made)?;
    fs::rename(&made, &directory).map_err(ClientError::io("put in place", &directory))
}

fn copy(from: &Path, to: &Path) -> Result<(), ClientError> {
    fs::create_dir(to).map_err(ClientError::io("make the directory", to))?;
    for entry in fs::read_dir(from).map_err(ClientError::io("read", from))? {
        let entry = entry.map_err(ClientError::io("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let metadata = entry.metadata().map_err(ClientError::io("look at", &source))?;
        if metadata.is_dir() {
            copy(&source, &target)?;
        } else if metadata.is_symlink() {
            let points = fs::read_link(&source).map_err(ClientError::io("read", &source))?;
            symlink(points, &target).map_err(ClientError::io("make the symlink", &target))?;
        } else {
            // Shares the extents where the file system can.
            fs::copy(&source, &target).map_err(ClientError::io("copy to", &target))?;
            let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            fs::set_permissions(&target, Permissions::from_mode(mode)).map_err(ClientError::io("open up", &target))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_can_be_written_to_and_the_original_stays() {
        let directory = tempfile::tempdir().expect("temporary");
        let from = directory.path().join("from");
        fs::create_dir_all(from.join("sub")).expect("temporary");
        fs::write(from.join("sub/run"), "old").expect("temporary");
        fs::set_permissions(from.join("sub/run"), Permissions::from_mode(0o555)).expect("temporary");
        symlink("run", from.join("sub/link")).expect("temporary");
        let to = directory.path().join("deep/to");
        install(&from, &to).expect("free");
        fs::write(to.join("sub/link"), "new").expect("writable, through the link");
        assert_eq!(fs::read_to_string(from.join("sub/run")).expect("there"), "old");
        assert_eq!(fs::metadata(to.join("sub/run")).expect("there").permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn what_is_there_is_not_overwritten() {
        let directory = tempfile::tempdir().expect("temporary");
        let (environment, taken) = (directory.path().join("env"), directory.path().join("taken"));
        fs::create_dir(&environment).expect("temporary");
        fs::create_dir(&taken).expect("temporary");
        fs::write(taken.join("mine"), "precious").expect("temporary");
        assert!(matches!(install(&environment, &taken), Err(ClientError::Occupied { .. })));
        assert!(matches!(install(&environment, &taken.join("mine")), Err(ClientError::Occupied { .. })));
        let error = link(directory.path(), &environment, &taken);
        assert!(matches!(error, Err(ClientError::Occupied { .. })));
        assert_eq!(fs::read_to_string(taken.join("mine")).expect("there"), "precious");
    }

    #[test]
    fn a_link_is_moved_and_noted_as_gc_root() {
        let directory = tempfile::tempdir().expect("temporary");
        let (root, at) = (directory.path().join("root"), directory.path().join("current"));
        for environment in ["one", "two"] {
            link(&root, &directory.path().join(environment), &at).expect("free");
        }
        assert_eq!(fs::read_link(&at).expect("a link"), directory.path().join("two"));
        let noted: Vec<_> = fs::read_dir(root.join("gcroots")).expect("made").collect();
        assert_eq!(noted.len(), 1);
    }
}
