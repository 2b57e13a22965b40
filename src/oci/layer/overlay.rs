//! What the upper layer of an overlay has in its own way: whiteouts and opaque directories.

use std::io::Read;

use tar::EntryType;

use super::super::tree::{Child, WHITEOUT};
use super::LayerError;
use super::input::Entry;
use super::read::{Reader, entry_path};
use crate::spec::RelativePath;

/// What begins the names of an overlay's own extended attributes.
const OWN: [&[u8]; 2] = [b"user.overlay.", b"trusted.overlay."];
/// Marks a directory that hides what lower layers have in it.
const OPAQUE: &[u8] = b"opaque";

/// Says whether an extended attribute belongs to the overlay.
pub(super) fn owns(name: &[u8]) -> bool {
    own(name).is_some()
}

fn own(name: &[u8]) -> Option<&[u8]> {
    OWN.iter().find_map(|own| name.strip_prefix(*own))
}

impl<R: Read> Reader<R> {
    /// Notes what an entry of an upper layer says of lower ones, and returns whether that is all it says.
    pub(super) fn upper(
        &mut self,
        entry: &Entry,
        path: &RelativePath,
        wrong: &dyn Fn(&'static str) -> LayerError,
    ) -> Result<bool, LayerError> {
        if path.components().any(|name| name.starts_with(WHITEOUT)) {
            return Err(wrong("its name is that of a whiteout"));
        }
        let names: Vec<&str> = path.components().collect();
        if entry.kind == EntryType::Directory {
            let opaque = entry.xattrs.iter().any(|(name, value)| own(name) == Some(OPAQUE) && value == b"y");
            if opaque {
                self.parent(&names, wrong)?.opaque = true;
            }
            return Ok(false);
        }
        let gone = match entry.kind {
            EntryType::Char => entry.device == (0, 0),
            // One device serves for many of them.
            EntryType::Link => entry_path(&entry.link).is_ok_and(|target| self.is_whiteout(&target)),
            _ => false,
        };
        if let (true, Some((name, above))) = (gone, names.split_last()) {
            self.parent(above, wrong)?.whiteouts.insert((*name).to_owned());
        }
        Ok(gone)
    }

    fn is_whiteout(&self, path: &RelativePath) -> bool {
        let names: Vec<&str> = path.components().collect();
        let Some((name, above)) = names.split_last() else { return false };
        let mut at = &self.layer;
        for name in above {
            match at.entries.get(*name) {
                Some(Child::Directory(inner)) => at = inner,
                Some(Child::Leaf(_)) | None => return false,
            }
        }
        at.whiteouts.contains(*name)
    }
}
