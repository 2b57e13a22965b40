//! Whose the files of images are on this host: those that the image says, or the user's own.
//!
//! Only root may give files to others, make devices and grant capabilities. For an ordinary user all files are the
//! user's own, who can always read them, and set no other user's id when they are run. Both forms can lie beside each
//! other.

use std::fs;
use std::path::Path;

use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

use super::ContainerError;

/// What root needs to make any root file system.
const NEEDED: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::SETFCAP);
/// The users of a namespace that has all of them.
const ALL_USERS: [&str; 3] = ["0", "0", "4294967295"];
/// Set-user-id and set-group-id.
const SET_ID: u16 = 0o6000;

/// Whose the files of images are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Theirs who own them in the image.
    Image,
    /// The user's, who is not root here.
    User,
}

impl Owner {
    /// Returns what this process can do.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(crate) fn current() -> Result<Self, ContainerError> {
        if !geteuid().is_root() {
            return Ok(Self::User);
        }
        let path = Path::new("/proc/self/uid_map");
        let map = fs::read_to_string(path).map_err(ContainerError::io("read", path))?;
        let sets = capabilities(None).map_err(|error| ContainerError::io("read", path)(error.into()))?;
        let all = map.split_whitespace().eq(ALL_USERS) && sets.effective.contains(NEEDED);
        Ok(if all { Self::Image } else { Self::User })
    }

    /// Returns the name of the directory for files that are so.
    pub(crate) fn directory(self) -> &'static str {
        match self {
            Self::Image => "owned",
            Self::User => "own",
        }
    }

    /// Returns the mode that something has on this host.
    pub(crate) fn mode(self, mode: u16, directory: bool) -> u16 {
        match self {
            Self::Image => mode,
            Self::User => mode & !SET_ID | if directory { 0o700 } else { 0o400 },
        }
    }

    /// Says whether an extended attribute is kept on this host.
    pub(crate) fn keeps(self, name: &str) -> bool {
        self == Self::Image || name.starts_with("user.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_has_of_an_image_is_no_danger_and_can_be_read() {
        assert_eq!(Owner::Image.mode(0o4000, false), 0o4000);
        assert_eq!(Owner::User.mode(0o4755, false), 0o755);
        assert_eq!(Owner::User.mode(0o2000, true), 0o700);
        assert_eq!(Owner::User.mode(0o1777, true), 0o1777);
        assert!(!Owner::User.keeps("security.capability") && Owner::Image.keeps("security.capability"));
    }
}
