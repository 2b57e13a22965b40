//! Removing trees that others made: deep, closed, with links in them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Removes a directory however deep it is nested, whatever the modes in it.
///
/// Subdirectories are moved up to the top before they are emptied, so neither
/// the stack nor a path grows with the depth.
///
/// # Errors
/// When the system refuses; what is left can be removed by another call.
pub(crate) fn remove_tree(top: &Path) -> io::Result<()> {
    fs::set_permissions(top, fs::Permissions::from_mode(0o700))?;
    let mut pending = vec![top.to_owned()];
    let mut moved = 0_u64;
    while let Some(directory) = pending.pop() {
        let entries: Vec<fs::DirEntry> = fs::read_dir(&directory)?.collect::<io::Result<_>>()?;
        for entry in entries {
            let path = entry.path();
            if !entry.file_type()?.is_dir() {
                fs::remove_file(path)?;
                continue;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
            let target = top.join(format!("removed-{moved}"));
            moved += 1;
            fs::rename(path, &target)?;
            pending.push(target);
        }
        if directory != top {
            fs::remove_dir(directory)?;
        }
    }
    fs::remove_dir(top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let parent = tempfile::tempdir().expect("temporary directory");
        let top = parent.path().join("top");
        fs::create_dir(&top).expect("new");
        // Built from the inside out, because no path can name the inside.
        for _ in 0..500 {
            let outer = parent.path().join("outer");
            fs::create_dir(&outer).expect("new");
            fs::rename(&top, outer.join("0123456789")).expect("moved");
            fs::rename(outer, &top).expect("moved");
        }
        remove_tree(&top).expect("removed");
        assert!(!top.exists());
    }

    #[test]
    fn closed_directories_are_removed_and_links_are_not_followed() {
        let parent = tempfile::tempdir().expect("temporary directory");
        let kept = parent.path().join("kept");
        fs::write(&kept, "x").expect("written");
        let top = parent.path().join("top");
        fs::create_dir_all(top.join("a/b")).expect("new");
        std::os::unix::fs::symlink(parent.path(), top.join("a/link")).expect("linked");
        fs::set_permissions(top.join("a"), fs::Permissions::from_mode(0o000)).expect("closed");
        remove_tree(&top).expect("removed");
        assert!(!top.exists() && kept.exists());
    }
}
