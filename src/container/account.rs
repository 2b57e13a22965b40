//! As whom a command runs: the user that an image names, looked up in the image.
//!
//! Its `/etc` may be or have symlinks; they are followed as if the image were the whole file system.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::ContainerError;
use super::owner::Owner;

const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";
/// Most bytes read of either.
const MAX_BYTES: u64 = 4 << 20;

/// User, group and further groups of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
}

/// A line of `/etc/passwd`.
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

impl Account {
    /// Looks up what an image calls its user: `USER`, or `USER:GROUP`, by name or number; empty for root.
    ///
    /// # Errors
    /// `User` when there is none of that name.
    pub(super) fn of(root: &Path, text: &str) -> Result<Self, ContainerError> {
        let passwd = read(root, PASSWD)?;
        let group = read(root, GROUP)?;
        let found = look_up(&passwd, &group, text);
        found.map_err(|file| ContainerError::User { user: text.to_owned(), file })
    }

    /// Returns what there is of it on this host: an ordinary user has one user in an image, root.
    pub(super) fn on_this_host(self, owner: Owner) -> Self {
        if owner == Owner::User && self.uid != 0 {
            tracing::warn!(uid = self.uid, "not root: the command runs as you, who are root in the image");
        }
        match owner {
            Owner::Image => self,
            Owner::User => Self::default(),
        }
    }
}

fn look_up(passwd: &str, group: &str, text: &str) -> Result<Account, &'static str> {
    let (user, named_group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let fits = |found: &User| found.name == user || Some(found.uid) == number;
    let known = passwd.lines().filter_map(User::parse).find(fits);
    let uid = known.as_ref().map(|known| known.uid).or(number).ok_or(PASSWD)?;
    if let Some(name) = named_group.filter(|name| !name.is_empty()) {
        let number = name.parse().ok();
        let gid = groups(group).find(|(found, gid, _)| *found == name || Some(*gid) == number).map(|(_, gid, _)| gid);
        return Ok(Account { uid, gid: gid.or(number).ok_or(GROUP)?, groups: Vec::new() });
    }
    let gid = known.as_ref().map_or(0, |known| known.gid);
    let member = |members: &str| known.as_ref().is_some_and(|known| members.split(',').any(|name| name == known.name));
    let groups = groups(group).filter(|(_, _, members)| member(members)).map(|(_, gid, _)| gid);
    Ok(Account { uid, gid, groups: groups.collect() })
}

impl<'a> User<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some(Self { name, uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }
}

/// Returns name, number and members of each group.
fn groups(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((name, fields.nth(1)?.parse().ok()?, fields.next()?))
    })
}

/// Reads a file of an image, of which what is not there is empty.
fn read(root: &Path, path: &str) -> Result<String, ContainerError> {
    let failed = |error: io::Error| ContainerError::io("read", &root.join(path))(error);
    let directory = File::open(root).map_err(failed)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match openat2(&directory, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(String::new()),
        Err(error) => return Err(failed(error.into())),
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD_TEXT: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:7:8::/:/bin/sh\nbroken\n";
    const GROUP_TEXT: &str = "root:x:0:\nwheel:x:10:app,root\nvideo:x:44:app\n";

    fn found(text: &str) -> Result<(u32, u32, Vec<u32>), &'static str> {
        look_up(PASSWD_TEXT, GROUP_TEXT, text).map(|account| (account.uid, account.gid, account.groups))
    }

    #[test]
    fn users_are_found_by_name_and_number_with_their_groups() {
        assert_eq!(found(""), Ok((0, 0, vec![10])));
        assert_eq!(found("app"), Ok((7, 8, vec![10, 44])));
        assert_eq!(found("7"), Ok((7, 8, vec![10, 44])));
        assert_eq!(found("7:video"), Ok((7, 44, vec![])));
        assert_eq!(found("1000:1001"), Ok((1000, 1001, vec![])));
        assert_eq!(found("1000"), Ok((1000, 0, vec![])));
        assert_eq!(found("nobody"), Err(PASSWD));
        assert_eq!(found("app:nobody"), Err(GROUP));
    }

    #[test]
    fn links_in_an_image_do_not_lead_to_the_host() {
        let top = tempfile::tempdir().expect("temporary");
        let root = top.path().join("root");
        std::fs::create_dir_all(root.join("own")).expect("temporary");
        std::fs::create_dir_all(top.path().join("own")).expect("temporary");
        std::fs::write(top.path().join("own/passwd"), "outside:x:1:1:::\n").expect("temporary");
        std::fs::write(root.join("own/passwd"), "inside:x:2:2:::\n").expect("temporary");
        std::os::unix::fs::symlink("../../../own", root.join("etc")).expect("temporary");
        assert_eq!(read(&root, PASSWD).expect("readable"), "inside:x:2:2:::\n");
        assert_eq!(read(&root, GROUP).expect("readable"), "");
    }
}
