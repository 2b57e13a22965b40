//! A file of an image, by all that tells it from others: its content, and what it is like on this host.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use rustix::fs::{
    Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, fchmod, fchown, fsetxattr, futimens,
};

use super::super::Owner;
use crate::digest::{Digest, DigestFunction};
use crate::oci::Entry;

/// Latest second that ext4 can note, in the year 2446.
const MAX_TIME: i64 = 0x3_7fff_ffff;
/// Characters of the hash of extended attributes in a name.
const XATTRS_SHOWN: usize = 32;

/// What a file, or a directory, is like on this host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Facts {
    /// The twelve bits.
    pub(crate) mode: u16,
    /// Owner and group, for those who can give files away.
    pub(crate) owner: Option<(u32, u32)>,
    /// The second of its change.
    pub(crate) mtime: i64,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
}

/// A file with this content that is like that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileFacts {
    pub(crate) digest: Digest,
    pub(crate) facts: Facts,
}

impl Facts {
    /// Returns what an entry of an image is like on this host.
    pub(crate) fn of(entry: &Entry, owner: Owner, directory: bool) -> Self {
        let metadata = &entry.metadata;
        let kept = metadata.xattrs.iter().filter(|(name, _)| owner.keeps(name));
        Self {
            mode: owner.mode(entry.mode, directory),
            owner: (owner == Owner::Image).then_some((metadata.uid, metadata.gid)),
            mtime: i64::try_from(metadata.mtime).map_or(MAX_TIME, |time| time.min(MAX_TIME)),
            xattrs: kept.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    /// Makes an open file or directory like that. What is written later changes it.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn set(&self, file: &File) -> io::Result<()> {
        // A new owner takes capabilities and set-user-id away; a closed mode, the right to set attributes.
        if let Some((uid, gid)) = self.owner {
            fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        for (name, value) in &self.xattrs {
            fsetxattr(file, name.as_str(), value, XattrFlags::empty())?;
        }
        fchmod(file, Mode::from_raw_mode(self.mode.into()))?;
        Ok(futimens(file, &self.times())?)
    }

    /// Returns the times for the system.
    pub(crate) fn times(&self) -> Timestamps {
        Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: self.mtime, tv_nsec: 0 },
        }
    }
}

impl FileFacts {
    /// Returns the name that tells it from other files.
    pub(crate) fn name(&self) -> String {
        let Facts { mode, owner, mtime, xattrs } = &self.facts;
        let (uid, gid) = owner.unwrap_or_default();
        let mut name = format!("{}-{mode:04o}-{uid}-{gid}-{mtime}", content_name(&self.digest));
        if !xattrs.is_empty() {
            let hash = DigestFunction::Sha256.digest(serde_json::json!(xattrs).to_string().as_bytes()).hash();
            name.push('-');
            name.push_str(&hash[..XATTRS_SHOWN]);
        }
        name
    }

    /// Says whether a file can be it: content and extended attributes are not looked at.
    pub(crate) fn fit(&self, found: &Stat) -> bool {
        let Facts { mode, owner, mtime, .. } = &self.facts;
        u64::try_from(found.st_size) == Ok(self.digest.size())
            && found.st_mode & 0o7777 == u32::from(*mode)
            && owner.is_none_or(|owner| owner == (found.st_uid, found.st_gid))
            && (found.st_mtime, found.st_mtime_nsec) == (*mtime, 0)
    }
}

/// Returns what the names of all files with a content begin with.
pub(crate) fn content_name(digest: &Digest) -> String {
    format!("{}-{}", digest.hash(), digest.size())
}
