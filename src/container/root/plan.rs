//! What making a root file system comes to on this host.

use std::collections::HashMap;

use super::super::Owner;
use super::facts::{Facts, FileFacts};
use crate::oci::{Entry, EntryContent, Special};

/// What is to be made, by path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The root first, and each before what it contains.
    pub(crate) directories: Vec<(String, Facts)>,
    /// The first path of each file, those of one directory together.
    pub(crate) files: Vec<PlannedFile>,
    /// The other paths, with the first one.
    pub(crate) links: Vec<(String, String)>,
    /// Symlinks with their targets.
    pub(crate) symlinks: Vec<(String, String, Facts)>,
    /// Devices and fifos.
    pub(crate) specials: Vec<(String, Special, Facts)>,
    /// What this host cannot have.
    pub(crate) left_out: LeftOut,
}

/// A file to be made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlannedFile {
    pub(crate) path: String,
    pub(crate) file: FileFacts,
    /// How many paths it has in the image.
    pub(crate) names: u64,
}

/// How many things cannot be made as the image says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Entries of other owners, which are the user's now.
    pub(crate) owners: usize,
    /// Files that would set a user or group id, or have capabilities.
    pub(crate) powers: usize,
    /// Devices.
    pub(crate) devices: usize,
}

impl Plan {
    /// Plans a root file system.
    pub(crate) fn new(entries: Vec<Entry>, owner: Owner) -> Self {
        let mut plan = Self::default();
        let mut names: HashMap<String, u64> = HashMap::new();
        for entry in entries {
            let directory = entry.content == EntryContent::Directory;
            let facts = Facts::of(&entry, owner, directory);
            if owner == Owner::User {
                plan.left_out.count(&entry, &facts);
            }
            let path = entry.path;
            match entry.content {
                EntryContent::Directory => plan.directories.push((path, facts)),
                EntryContent::File { link: Some(first), .. } => {
                    *names.entry(first.clone()).or_insert(1) += 1;
                    plan.links.push((path, first));
                }
                EntryContent::File { digest, link: None } => {
                    plan.files.push(PlannedFile { path, file: FileFacts { digest, facts }, names: 1 });
                }
                EntryContent::Symlink { target } => plan.symlinks.push((path, target, facts)),
                EntryContent::Special(Special::Char { .. } | Special::Block { .. }) if owner == Owner::User => {}
                EntryContent::Special(special) => plan.specials.push((path, special, facts)),
            }
        }
        for file in &mut plan.files {
            file.names = names.get(&file.path).copied().unwrap_or(1);
        }
        plan.files.sort_by(|one, other| parent(&one.path).cmp(parent(&other.path)));
        plan
    }
}

impl LeftOut {
    fn count(&mut self, entry: &Entry, facts: &Facts) {
        self.owners += usize::from((entry.metadata.uid, entry.metadata.gid) != (0, 0));
        let set_id = entry.content != EntryContent::Directory && entry.mode & 0o6000 != 0;
        self.powers += usize::from(set_id || facts.xattrs.len() < entry.metadata.xattrs.len());
        let device = EntryContent::Special(Special::Fifo) != entry.content;
        self.devices += usize::from(device && matches!(entry.content, EntryContent::Special(_)));
    }

    /// Tells the user, if there is something to tell.
    pub(crate) fn tell(&self) {
        let Self { owners, powers, devices } = self;
        if *self != Self::default() {
            tracing::warn!(
                "not root: all files are yours, {owners} of them another user's in the image; left out are {devices} \
                 devices, and the set-id bits and capabilities of {powers} files"
            );
        }
    }
}

/// Returns the path of the directory in which something stands.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestFunction;
    use crate::oci::Metadata;

    fn entry(path: &str, content: EntryContent, mode: u16, uid: u32) -> Entry {
        Entry { path: path.into(), content, mode, metadata: Metadata { uid, ..Metadata::default() } }
    }

    fn entries() -> Vec<Entry> {
        let digest = DigestFunction::Blake3.digest(b"x");
        let file = |link: Option<&str>| EntryContent::File { digest, link: link.map(str::to_owned) };
        vec![
            entry("", EntryContent::Directory, 0o755, 0),
            entry("a", file(None), 0o4755, 0),
            entry("b", EntryContent::Directory, 0o2750, 8),
            entry("b/c", file(Some("a")), 0o4755, 0),
            entry("b/n", EntryContent::Special(Special::Char { major: 1, minor: 3 }), 0o666, 0),
            entry("b/p", EntryContent::Special(Special::Fifo), 0o600, 0),
            entry("z", file(None), 0o200, 0),
        ]
    }

    #[test]
    fn root_has_everything_as_the_image_says() {
        let plan = Plan::new(entries(), Owner::Image);
        let files: Vec<_> =
            plan.files.iter().map(|file| (file.path.as_str(), file.file.facts.mode, file.names)).collect();
        assert_eq!(files, [("a", 0o4755, 2), ("z", 0o200, 1)]);
        assert_eq!(plan.links, [("b/c".to_owned(), "a".to_owned())]);
        assert_eq!(plan.directories[1].1.owner, Some((8, 0)));
        assert_eq!((plan.specials.len(), plan.left_out), (2, LeftOut::default()));
    }

    #[test]
    fn what_a_user_cannot_have_is_left_out_and_counted() {
        let plan = Plan::new(entries(), Owner::User);
        let files: Vec<_> = plan.files.iter().map(|file| (file.path.as_str(), file.file.facts.mode)).collect();
        assert_eq!(files, [("a", 0o755), ("z", 0o600)]);
        assert_eq!((plan.directories[1].1.owner, plan.directories[1].1.mode), (None, 0o750));
        assert_eq!(plan.specials.len(), 1);
        // One file, which has two paths.
        assert_eq!(plan.left_out, LeftOut { owners: 1, powers: 2, devices: 1 });
    }
}
