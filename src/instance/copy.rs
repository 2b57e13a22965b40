//! Copies between this host and an instance.
//!
//! An instance is not trusted. Paths in it are resolved below its root by the kernel, links and `..` included; what lies
//! below them is opened one name at a time, through no link. What is copied into it belongs to its root, what is copied
//! out to the user. Links are copied as links, and nothing gets set-id bits.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, RawMode, ResolveFlags, Uid, chownat, fchmod, fchown, mkdirat, open,
    openat, openat2, readlinkat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::error::InstanceError;
use crate::host::FIRST_ID;

/// How deep directories may be nested: each takes an open file on both sides.
const MAX_DEPTH: usize = 256;
/// Bits of modes that are kept.
const MODE: RawMode = 0o777;
const CLOSED: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW);

/// A side of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A path of this host.
    Host(PathBuf),
    /// A path in an instance.
    Instance(String, PathBuf),
}

impl Place {
    /// Reads `ID:PATH`, or a path of this host, which has a slash before any colon.
    pub fn parse(text: &OsStr) -> Self {
        let at = text.as_bytes().iter().position(|byte| *byte == b':' || *byte == b'/');
        match at.map(|at| text.as_bytes().split_at(at)) {
            Some((id, rest)) if rest[0] == b':' && !id.is_empty() => {
                Self::Instance(String::from_utf8_lossy(id).into_owned(), OsStr::from_bytes(&rest[1..]).into())
            }
            _ => Self::Host(text.into()),
        }
    }
}

/// One side, opened.
pub(super) struct Side {
    /// The root of the instance; of the host where there is none.
    pub(super) root: Option<OwnedFd>,
    pub(super) path: PathBuf,
}

impl Side {
    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match &self.root {
            Some(root) => {
                let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
                openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
            }
            None => open(path, flags, Mode::empty()),
        }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(Errno) -> InstanceError {
        let path = self.path.clone();
        move |error| InstanceError::io(action, &path)(error.into())
    }

    /// Splits the path in what it lies in and its name.
    fn parts(&self) -> Option<(PathBuf, OsString)> {
        let name = self.path.file_name()?.to_owned();
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Some((parent.unwrap_or(Path::new(".")).to_owned(), name))
    }
}

/// Copies a file or a directory with everything in it: into a directory that is there, else under the name that is given.
///
/// # Errors
/// When there is nothing to be copied, it is nothing that can be, or a side refuses.
pub(super) fn copy(from: &Side, to: &Side) -> Result<(), InstanceError> {
    let source = from.open(&from.path, OFlags::RDONLY).map_err(from.failed("open"))?;
    let (place, name) = match to.open(&to.path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(directory) => {
            let unnamed = || not_copied(&from.path, "a directory without a name, and the destination is there");
            (directory, from.path.file_name().ok_or_else(unnamed)?.to_owned())
        }
        Err(Errno::NOENT | Errno::NOTDIR) => {
            let (parent, name) = to.parts().ok_or_else(|| not_copied(&to.path, "no name for something new"))?;
            if to.path.as_os_str().as_bytes().ends_with(b"/") {
                return Err(not_copied(&to.path, "no directory"));
            }
            (to.open(&parent, OFlags::RDONLY | OFlags::DIRECTORY).map_err(to.failed("open"))?, name)
        }
        Err(error) => return Err(to.failed("open")(error)),
    };
    let owner = to.root.is_some().then(|| (Uid::from_raw(FIRST_ID), Gid::from_raw(FIRST_ID)));
    let copy = Copy { owner };
    let kind = rustix::fs::fstat(&source).map_err(from.failed("look at"))?;
    match FileType::from_raw_mode(kind.st_mode) {
        FileType::RegularFile => copy.file(source, kind.st_mode, &place, &name),
        FileType::Directory => copy.directory(&source, kind.st_mode, &place, &name, &from.path, 0),
        _ => return Err(not_copied(&from.path, "neither a file nor a directory")),
    }
    .map_err(|error| InstanceError::io("copy", &error.path.unwrap_or(from.path.clone()))(error.source))
}

fn not_copied(path: &Path, what: &'static str) -> InstanceError {
    InstanceError::NotCopied { path: path.display().to_string(), what }
}

/// Where a copy went wrong.
struct CopyError {
    path: Option<PathBuf>,
    source: io::Error,
}

impl<E: Into<io::Error>> From<E> for CopyError {
    fn from(source: E) -> Self {
        Self { path: None, source: source.into() }
    }
}

impl CopyError {
    fn at(self, path: impl FnOnce() -> PathBuf) -> Self {
        Self { path: Some(self.path.unwrap_or_else(path)), ..self }
    }
}

/// How things are copied.
struct Copy {
    owner: Option<(Uid, Gid)>,
}

impl Copy {
    /// Copies a file, in place of anything but a directory.
    fn file(&self, source: OwnedFd, mode: RawMode, place: &OwnedFd, name: &OsStr) -> Result<(), CopyError> {
        clear(place, name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | CLOSED;
        let mut target = File::from(openat(place, name, flags, Mode::RUSR | Mode::WUSR)?);
        let mut source = File::from(source);
        let modified = source.metadata()?.modified()?;
        io::copy(&mut source, &mut target)?;
        self.give(&target)?;
        fchmod(&target, Mode::from_raw_mode(mode & MODE))?;
        Ok(target.set_modified(modified)?)
    }

    fn directory(
        &self,
        source: &OwnedFd,
        mode: RawMode,
        place: &OwnedFd,
        name: &OsStr,
        path: &Path,
        depth: usize,
    ) -> Result<(), CopyError> {
        if depth == MAX_DEPTH {
            return Err(CopyError::from(Errno::NAMETOOLONG).at(|| path.to_owned()));
        }
        let made = match mkdirat(place, name, Mode::RWXU) {
            Err(Errno::EXIST) => false,
            made => made.map(|()| true)?,
        };
        let target = openat(place, name, OFlags::RDONLY | OFlags::DIRECTORY | CLOSED, Mode::empty())?;
        if made {
            self.give(&target)?;
        }
        for entry in Dir::read_from(source)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                let path = path.join(name);
                self.entry(source, &target, name, &path, depth).map_err(|error| error.at(|| path.clone()))?;
            }
        }
        if made {
            fchmod(&target, Mode::from_raw_mode(mode & MODE))?;
        }
        Ok(())
    }

    fn entry(
        &self,
        source: &OwnedFd,
        target: &OwnedFd,
        name: &OsStr,
        path: &Path,
        depth: usize,
    ) -> Result<(), CopyError> {
        match FileType::from_raw_mode(statat(source, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode) {
            FileType::RegularFile | FileType::Directory => {}
            FileType::Symlink => return self.link(source, target, name),
            _ => {
                tracing::warn!(path = %path.display(), "left out: it is neither a file, a directory nor a link");
                return Ok(());
            }
        }
        // It may be something else by now.
        let opened = openat(source, name, OFlags::RDONLY | OFlags::NONBLOCK | CLOSED, Mode::empty())?;
        let mode = rustix::fs::fstat(&opened)?.st_mode;
        match FileType::from_raw_mode(mode) {
            FileType::RegularFile => self.file(opened, mode, target, name),
            FileType::Directory => self.directory(&opened, mode, target, name, path, depth + 1),
            _ => Err(Errno::INVAL.into()),
        }
    }

    fn link(&self, source: &OwnedFd, target: &OwnedFd, name: &OsStr) -> Result<(), CopyError> {
        let text = readlinkat(source, name, Vec::new())?;
        clear(target, name)?;
        symlinkat(text.as_c_str(), target, name)?;
        if let Some((user, group)) = self.owner {
            chownat(target, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    fn give(&self, target: impl AsFd) -> Result<(), Errno> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        fchown(target, Some(user), Some(group))
    }
}

/// Removes what is in the way of something new, if it is no directory.
fn clear(place: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    match unlinkat(place, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Opens a side on this host.
pub(super) fn on_host(path: &Path) -> Side {
    Side { root: None, path: path.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::CWD;

    use super::*;

    fn place(text: &str) -> Place {
        Place::parse(text.as_ref())
    }

    #[test]
    fn places_are_told_apart_by_what_comes_before_the_first_slash() {
        assert_eq!(place("abc:/x:y"), Place::Instance("abc".into(), "/x:y".into()));
        assert_eq!(place("abc:x"), Place::Instance("abc".into(), "x".into()));
        for of_host in ["./a:b", "/a:b", "a", ":a", ""] {
            assert_eq!(place(of_host), Place::Host(of_host.into()), "{of_host}");
        }
    }

    #[test]
    fn nothing_leads_out_of_a_root() {
        let top = tempfile::tempdir().expect("temporary");
        let at = |name: &str| top.path().join(name);
        for directory in ["root/etc", "etc", "given/d"] {
            fs::create_dir_all(at(directory)).expect("temporary");
        }
        fs::write(at("etc/secret"), "host").expect("temporary");
        fs::write(at("root/etc/secret"), "inside").expect("temporary");
        symlink("../../../etc", at("root/up")).expect("temporary");
        symlink(at("etc"), at("root/absolute")).expect("temporary");
        symlink(at("etc/secret"), at("root/etc/link")).expect("temporary");
        let root = || Some(File::open(at("root")).expect("there").into());
        let inside = |path: &str| Side { root: root(), path: path.into() };
        copy(&inside("/up/secret"), &on_host(&at("got"))).expect("inside");
        assert_eq!(fs::read(at("got")).expect("copied"), b"inside");
        copy(&inside("/../../etc/secret"), &on_host(&at("got"))).expect("inside");
        assert_eq!(fs::read(at("got")).expect("copied"), b"inside");
        assert!(copy(&inside("/absolute/secret"), &on_host(&at("got"))).is_err());
        copy(&inside("/etc"), &on_host(&at("all"))).expect("inside");
        assert!(fs::symlink_metadata(at("all/link")).expect("copied").is_symlink());
        if !rustix::process::geteuid().is_root() {
            return;
        }
        fs::write(at("given/link"), "new").expect("temporary");
        fs::set_permissions(at("given/link"), fs::Permissions::from_mode(0o4755)).expect("temporary");
        symlink(at("etc"), at("root/etc/given")).expect("temporary");
        copy(&on_host(&at("given/link")), &inside("/up")).expect("inside");
        assert_eq!(fs::read(at("etc/secret")).expect("there"), b"host");
        let copied = fs::symlink_metadata(at("root/etc/link")).expect("there");
        assert_eq!((copied.is_file(), copied.permissions().mode() & 0o7777), (true, 0o755));
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&copied), FIRST_ID);
        assert!(copy(&on_host(&at("given")), &inside("/etc")).is_err(), "a link is no directory to copy into");
        assert_eq!(fs::read_dir(at("etc")).expect("there").count(), 1);
    }

    #[test]
    fn what_cannot_be_copied_is_said() {
        let top = tempfile::tempdir().expect("temporary");
        let at = |name: &str| top.path().join(name);
        fs::create_dir_all(at("d/e")).expect("temporary");
        fs::write(at("f"), "x").expect("temporary");
        rustix::fs::mknodat(CWD, at("d/pipe"), FileType::Fifo, Mode::RUSR, 0).expect("temporary");
        let copied = |from: &str, to: &str| copy(&on_host(&at(from)), &on_host(&at(to)));
        assert!(copied("d/pipe", "x").is_err() && copied("none", "x").is_err() && copied("f", "none/x").is_err());
        assert!(copied("f", "x/").is_err() && copied("d", "f").is_err());
        copied("d", "x").expect("without the pipe");
        assert!(at("x/e").is_dir() && !at("x/pipe").exists());
        copied("f", "x").expect("into it");
        assert_eq!(fs::read(at("x/f")).expect("there"), b"x");
    }
}
