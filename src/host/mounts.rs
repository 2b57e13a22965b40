//! Overlays and id-mapped mounts, on the file system that is to be used.

use std::fs::{self, File};
use std::path::Path;

use composefs_ioctls::mount::mount_setattr_idmap;
use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::command::{SHORT, run, system};
use super::scratch::Scratch;
use super::{FIRST_ID, Lack, Site, namespaces, users};
use crate::store::blocking;

/// Lays directories over each other with the options `$1` at `$2`, and changes and removes files of the lower one.
const USE: &str =
    r#"mount -t overlay overlay -o "$1" "$2" && cd "$2" && echo new >changed && rm removed && echo new >removed"#;
/// What helps where a file system cannot do it.
const FILE_SYSTEM: &str = "keep the root (`--root`) on ext4, xfs, btrfs or tmpfs, with a kernel from 5.12 on";

/// Lays directories over each other in a namespace of users, and as root outside of one.
pub(super) async fn probe_overlays(site: &Site) -> Result<String, Lack> {
    overlay(site, &["unshare", "--user", "--map-root-user", "--mount"], "userxattr,").await?;
    let place = site.directory.display();
    if !super::is_root() {
        return Ok(format!("in a namespace of users, on `{place}`"));
    }
    overlay(site, &["unshare", "--mount"], "").await?;
    Ok(format!("in a namespace of users and as root, on `{place}`"))
}

async fn overlay(site: &Site, namespace: &[&str], options: &str) -> Result<(), Lack> {
    let scratch = Scratch::new(&site.directory)?;
    for name in ["upper", "work", "merged"] {
        scratch.directory(name)?;
    }
    let lower = scratch.directory("lower")?;
    for name in ["changed", "removed"] {
        let written = fs::write(lower.join(name), "old");
        written.map_err(|error| Lack::new(format!("cannot write to `{}`: {error}", lower.display()), FILE_SYSTEM))?;
    }
    let mut command = system(namespace);
    // Relative paths, which have nothing in them that would have to be escaped.
    let options = format!("{options}lowerdir=lower,upperdir=upper,workdir=work");
    command.current_dir(scratch.path()).args(["/bin/sh", "-c", USE, "sh", &options, "merged"]);
    let ran = run("mount", &mut command, SHORT).await;
    ran.map(drop).map_err(|error| {
        let how = if options.starts_with("userxattr") { "in a namespace of users" } else { "as root" };
        Lack::new(format!("no overlay {how} on `{}`: {error}", site.directory.display()), FILE_SYSTEM)
    })
}

/// Shows a directory with the ids of containers. It is mounted nowhere.
pub(super) async fn probe_id_mapped(site: &Site) -> Result<String, Lack> {
    if !super::is_root() {
        return Err(Lack::root("show files as those of other users"));
    }
    let scratch = Scratch::new(&site.directory)?;
    let directory = scratch.directory("shown")?;
    let shown = blocking(move || {
        let ids = users::namespace(FIRST_ID).map_err(|error| Lack::new(error.to_string(), namespaces::remedy()))?;
        show(&directory, &ids).map_err(|error| {
            let reason = format!("`{}` cannot be shown as another user's: {error}", directory.display());
            Lack::new(reason, FILE_SYSTEM)
        })
    });
    shown.await?;
    Ok(format!("on `{}`", site.directory.display()))
}

fn show(directory: &Path, ids: &File) -> std::io::Result<()> {
    let tree = open_tree(CWD, directory, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    mount_setattr_idmap(&tree, ids)
}
