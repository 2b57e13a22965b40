//! The files that roots hold as they were fetched.

use std::collections::BTreeMap;

use super::error::SpecError;
use super::path::valid_name;
use super::place::{Place, shown};
use super::root::{Download, Root};
use super::spec::{Repository, Spec};

/// A file in a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distfile<'a> {
    /// What it is.
    pub download: &'a Download,
    /// Whether it is executable.
    pub executable: bool,
}

impl Spec {
    /// Returns the files of a `foreign file` or `distdir` root by their names; other roots have none.
    pub fn distfiles<'a>(&'a self, root: &'a Root) -> BTreeMap<&'a str, Distfile<'a>> {
        match root {
            Root::ForeignFile { download, name, executable, .. } => {
                BTreeMap::from([(name.as_str(), Distfile { download, executable: *executable })])
            }
            Root::Distdir { repositories, .. } => {
                let roots = repositories.iter().filter_map(|name| self.repositories.get(name));
                let downloads = roots.filter_map(|repository| archive(&repository.root));
                downloads.map(|download| (download.file_name(), Distfile { download, executable: false })).collect()
            }
            Root::File { .. }
            | Root::Git { .. }
            | Root::Archive { .. }
            | Root::Zip { .. }
            | Root::GitTree { .. }
            | Root::Tree { .. }
            | Root::Computed { .. }
            | Root::TreeStructure { .. } => BTreeMap::new(),
        }
    }
}

/// Returns the file of which a distdir holds a copy: that of an archive. Other roots add nothing, as in just-mr.
fn archive(root: &Root) -> Option<&Download> {
    root.download().filter(|_| !matches!(root, Root::ForeignFile { .. }))
}

impl Root {
    /// Returns the file that the root is, or is unpacked from.
    pub fn download(&self) -> Option<&Download> {
        match self {
            Self::Archive { download, .. } | Self::Zip { download, .. } | Self::ForeignFile { download, .. } => {
                Some(download)
            }
            Self::File { .. }
            | Self::Git { .. }
            | Self::GitTree { .. }
            | Self::Tree { .. }
            | Self::Distdir { .. }
            | Self::Computed { .. }
            | Self::TreeStructure { .. } => None,
        }
    }
}

/// Checks that a distdir holds its archives under names that each stand for one of them.
///
/// # Errors
/// `Invalid` with the repository that cannot be in it.
pub(super) fn check_distdir(
    repositories: &BTreeMap<String, Repository>,
    root: &Root,
    place: &Place,
) -> Result<(), SpecError> {
    let Root::Distdir { repositories: listed, .. } = root else { return Ok(()) };
    let mut files: BTreeMap<&str, &Download> = BTreeMap::new();
    for (at, name) in listed.iter().enumerate() {
        let place = || place.key("repositories").index(at);
        let refuse = |expected| SpecError::Invalid { place: place(), value: shown(name), expected };
        let Some(download) = repositories.get(name).and_then(|repository| archive(&repository.root)) else { continue };
        if !valid_name(download.file_name()) {
            return Err(refuse("its file has no name: it needs a `distfile`"));
        }
        if files.insert(download.file_name(), download).is_some_and(|other| other.content != download.content) {
            return Err(refuse("another file of the distdir has the same name: one of them needs a `distfile`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const IDS: [&str; 2] = ["4b825dc642cb6eb9a060e54bf8d69288fbee4904", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"];

    fn spec(listed: &[&str]) -> Result<Spec, SpecError> {
        let archive =
            |fetch: &str, content: &str| json!({"repository": {"type": "archive", "fetch": fetch, "content": content}});
        let text = json!({"environment": ["d", "", "x"], "repositories": {
            "d": {"repository": {"type": "distdir", "repositories": listed}},
            "a": archive("https://x.org/1/a.tgz", IDS[0]),
            "b": archive("https://x.org/2/a.tgz", IDS[1]),
            "nameless": archive("https://x.org/2/", IDS[1]),
            "f": {"repository": {"type": "foreign file", "fetch": "https://x.org/f", "content": IDS[0],
                "name": "other", "executable": true}},
            "tree": {"repository": {"type": "git tree", "id": IDS[0], "cmd": ["true"]}},
        }});
        Spec::parse("spec.json", text.to_string().as_bytes())
    }

    #[test]
    fn a_distdir_holds_archives_under_their_own_names() {
        let spec = spec(&["a", "f", "tree", "a"]).unwrap();
        let names = |root: &str| -> Vec<(String, bool)> {
            let files = spec.distfiles(&spec.repositories[root].root);
            files.iter().map(|(name, file)| ((*name).to_owned(), file.executable)).collect()
        };
        assert_eq!(names("d"), [("a.tgz".to_owned(), false)]);
        assert_eq!(names("f"), [("other".to_owned(), true)]);
        assert!(names("a").is_empty());
    }

    #[test]
    fn what_cannot_be_in_a_distdir_is_told_with_its_place() {
        for (listed, reason) in [(vec!["a", "b"], "the same name"), (vec!["a", "nameless"], "no name")] {
            let text = spec(&listed).unwrap_err().to_string();
            let place = "spec.json: repositories.d.repository.repositories[1]";
            assert!(text.starts_with(place) && text.contains(reason), "{text}");
        }
    }
}
