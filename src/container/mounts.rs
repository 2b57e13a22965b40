//! The namespaces of a run, and what is mounted in them, all of which goes with the last process in them.
//!
//! ```text
//! PLACE (a tmpfs)/lower/N    root: the image, and layers over it, with the ids of the container
//!                /rootfs     what the command sees: an overlay of the image
//!                /binds/N    root: files of the host with the ids of the container
//!                /etc/       copies of files of the host
//!                /bundle/config.json    /state
//! ```

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use composefs_ioctls::mount::mount_setattr_idmap;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount, open_tree, unmount,
};

use super::config::{Bound, Container};
use super::directory::{Directory, Layer};
use super::hook::Hook;
use super::owner::Owner;
use super::process::World;
use super::{ContainerError, ContainerOptions, Network, memory};
use crate::host::{FIRST_ID, IDS};

/// Where root mounts what a container sees: all directories on the way have to be open to the container's users.
const PLACE: &str = "/run/envserve";
/// Where runc keeps the state of its containers.
pub(crate) const STATE: &str = "/run/envserve/state";
/// Files of the host that a container with the host's network sees.
const NETWORK_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// What is mounted for a run.
pub(crate) struct Mounted {
    place: PathBuf,
    group: String,
    owner: Owner,
}

/// What runc is given.
pub(crate) struct Bundle {
    pub(crate) directory: PathBuf,
    pub(crate) state: PathBuf,
}

impl Mounted {
    /// Mounts everything in this process's own namespace of mounts, where nothing of a container is mounted yet. What
    /// the container sees lies in directories over each other, the lowest first: the image, layers over it, and what
    /// the directory has kept.
    ///
    /// # Errors
    /// When this host does not let that happen.
    pub(crate) fn new(
        lowers: &[&Path],
        directory: &Directory,
        layer: &Layer,
        options: &ContainerOptions,
        world: &World,
    ) -> Result<Self, ContainerError> {
        let World { owner, ids } = world;
        let place = match owner {
            Owner::Image => PathBuf::from(PLACE),
            Owner::User => directory.path().join("mounts"),
        };
        fs::create_dir_all(&place).map_err(ContainerError::io("make the directory", &place))?;
        mount("tmpfs", &place, "tmpfs", MountFlags::NODEV, Some(c"mode=0755"))
            .map_err(|error| refused("private file systems", error))?;
        for name in ["lower", "rootfs", "binds", "etc", "bundle", "state"] {
            let path = place.join(name);
            fs::create_dir(&path).map_err(ContainerError::io("make the directory", &path))?;
        }
        let mounted = Self { place, group: directory.group(), owner: *owner };
        let mut shown = match ids {
            Some(ids) => mounted.show_lowers(lowers, ids)?,
            None => lowers.iter().map(|lower| (*lower).to_owned()).collect(),
        };
        shown.extend(directory.kept());
        mounted.overlay(&shown, layer)?;
        for (number, bind) in options.binds.iter().enumerate() {
            let Some(ids) = ids else { break };
            mounted.show_bind(&bind.source, number, ids)?;
        }
        Ok(mounted)
    }

    /// Shows a file or directory at a place as if its owners were those of the container. Returns that place.
    fn show(&self, path: &Path, at: &Path, ids: &File) -> Result<PathBuf, ContainerError> {
        let failed = |error: Errno| ContainerError::io("mount", path)(error.into());
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, path, flags).map_err(failed)?;
        mount_setattr_idmap(&tree, ids).map_err(|source| ContainerError::IdMapped { path: path.to_owned(), source })?;
        move_mount(&tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(failed)?;
        Ok(at.to_owned())
    }

    fn show_lowers(&self, lowers: &[&Path], ids: &File) -> Result<Vec<PathBuf>, ContainerError> {
        let shown = lowers.iter().enumerate().map(|(number, lower)| {
            let at = self.place.join("lower").join(number.to_string());
            fs::create_dir(&at).map_err(ContainerError::io("make the directory", &at))?;
            self.show(lower, &at, ids)
        });
        shown.collect()
    }

    /// Shows what is to be bound, as it is where its file system cannot do otherwise.
    fn show_bind(&self, source: &Path, number: usize, ids: &File) -> Result<(), ContainerError> {
        let at = self.bind(number);
        let directory = fs::metadata(source).map_err(ContainerError::io("look at", source))?.is_dir();
        let made = if directory { fs::create_dir(&at) } else { File::create(&at).map(drop) };
        made.map_err(ContainerError::io("make", &at))?;
        match self.show(source, &at, ids) {
            Err(error @ ContainerError::IdMapped { .. }) => {
                tracing::warn!(path = %source.display(), "its owners are strangers in the container: {error}");
                let bound = rustix::mount::mount_bind_recursive(source, &at);
                bound.map_err(|error| ContainerError::io("mount", source)(error.into()))
            }
            other => other.map(drop),
        }
    }

    fn bind(&self, number: usize) -> PathBuf {
        self.place.join("binds").join(number.to_string())
    }

    /// Lays the upper layer over the others, the lowest first, with a root like that of the highest: the top of an
    /// overlay is like that of its upper layer.
    fn overlay(&self, lowers: &[PathBuf], layer: &Layer) -> Result<(), ContainerError> {
        let (upper, top) = (layer.upper(), lowers.last().expect("there is an image"));
        let root = fs::metadata(top).map_err(ContainerError::io("look at", top))?;
        if self.owner == Owner::Image {
            // What a container has no id for is its last one's.
            let ids = FIRST_ID..FIRST_ID + IDS;
            let known = |id: u32| Some(if ids.contains(&id) { id } else { ids.end - 1 });
            chown(&upper, known(root.uid()), known(root.gid())).map_err(ContainerError::io("give away", &upper))?;
        }
        let mode = Permissions::from_mode(root.mode() & 0o7777);
        fs::set_permissions(&upper, mode).map_err(ContainerError::io("set the mode of", &upper))?;
        let mounted = self.mount_overlay(lowers, &upper, &layer.work());
        mounted.map_err(|error| ContainerError::Overlay { upper, source: error.into() })
    }

    fn mount_overlay(&self, lowers: &[PathBuf], upper: &Path, work: &Path) -> Result<(), Errno> {
        let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let set = |key: &str, value: Vec<u8>| fsconfig_set_string(overlay.as_fd(), key, value);
        // The kernel wants the highest one first.
        let lowers: Vec<Vec<u8>> = lowers.iter().rev().map(|lower| escaped(lower)).collect();
        set("lowerdir", lowers.join(&b':'))?;
        set("upperdir", escaped(upper))?;
        set("workdir", escaped(work))?;
        match self.owner {
            Owner::User => fsconfig_set_flag(overlay.as_fd(), "userxattr")?,
            // Layers are to be whole, whatever the kernel was told: none refers to files below it.
            Owner::Image => {
                set("redirect_dir", b"off".to_vec())?;
                set("metacopy", b"off".to_vec())?;
            }
        }
        fsconfig_create(overlay.as_fd())?;
        let mounted = fsmount(overlay.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        move_mount(&mounted, "", CWD, self.place.join("rootfs"), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
    }

    /// Writes what runc needs to know.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write_bundle(
        &self,
        container: &Container,
        options: &ContainerOptions,
        hook: Option<&Hook>,
    ) -> Result<Bundle, ContainerError> {
        let mut bound: Vec<(PathBuf, &str, bool)> = Vec::new();
        let files = NETWORK_FILES.iter().filter(|_| options.network == Network::Host);
        for file in files {
            let copy = self.place.join(&file[1..]);
            match fs::copy(file, &copy) {
                Ok(_) => bound.push((copy, file, true)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ContainerError::io("copy", file.as_ref())(error)),
            }
        }
        for (number, bind) in options.binds.iter().enumerate() {
            let source = if self.owner == Owner::Image { self.bind(number) } else { bind.source.clone() };
            bound.push((source, &bind.destination, bind.read_only));
        }
        let bound: Vec<Bound> =
            bound.iter().map(|(source, at, read_only)| (source.as_path(), *at, *read_only)).collect();
        let directory = self.place.join("bundle");
        let mut document = container.document(&self.group, &self.place.join("rootfs"), &bound, hook);
        document["annotations"] = memory::annotations(&directory);
        let path = directory.join("config.json");
        fs::write(&path, document.to_string()).map_err(ContainerError::io("write", &path))?;
        Ok(Bundle { directory, state: self.place.join("state") })
    }
}

impl Mounted {
    /// Returns where something else may lie that goes with what is mounted.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // It goes with this process in any case.
        let _gone = unmount(&self.place, UnmountFlags::DETACH);
    }
}

/// Returns a path for the options of an overlay, where colons and backslashes mean something.
fn escaped(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes.flat_map(|byte| if b":\\".contains(byte) { vec![b'\\', *byte] } else { vec![*byte] }).collect()
}

/// Returns the error of a host that does not let something be made.
pub(super) fn refused(what: &'static str, error: Errno) -> ContainerError {
    ContainerError::Namespaces { what, source: error.into() }
}
