//! What a source tree can be worked out from, once and for all.

use super::ArchiveKind;
use crate::spec::{GitId, RelativePath, Special};

/// Something that fixes a tree without naming it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Derivation {
    /// A directory in a commit.
    Commit {
        /// The commit.
        commit: GitId,
        /// The directory.
        subdir: RelativePath,
    },
    /// A directory in an archive.
    Archive {
        /// The archive, as a Git blob.
        content: GitId,
        /// What it is an archive of.
        kind: ArchiveKind,
        /// The directory.
        subdir: RelativePath,
    },
    /// A tree whose symlinks are treated.
    Special {
        /// The tree.
        tree: GitId,
        /// How they are.
        special: Special,
    },
    /// A tree whose files are emptied.
    Structure {
        /// The tree.
        tree: GitId,
    },
}

impl std::fmt::Display for Derivation {
    /// Writes the name under which the tree is remembered. A change of the form, or of what is derived, needs
    /// another number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Commit { commit, subdir } => write!(f, "commit-1 {commit} {subdir}"),
            Self::Archive { content, kind, subdir } => write!(f, "{kind}-1 {content} {subdir}"),
            Self::Special { tree, special } => write!(f, "special-1 {special} {tree}"),
            Self::Structure { tree } => write!(f, "structure-1 {tree}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_may_give_another_tree_has_another_name() {
        let id = GitId::parse(&"12".repeat(20)).unwrap();
        let [root, sub] = ["", "sub"].map(|path| RelativePath::parse(path).unwrap());
        let derivations = [
            Derivation::Commit { commit: id, subdir: root.clone() },
            Derivation::Commit { commit: id, subdir: sub.clone() },
            Derivation::Archive { content: id, kind: ArchiveKind::Tar, subdir: root.clone() },
            Derivation::Archive { content: id, kind: ArchiveKind::Zip, subdir: root },
            Derivation::Archive { content: id, kind: ArchiveKind::Tar, subdir: sub },
            Derivation::Special { tree: id, special: Special::Ignore },
            Derivation::Special { tree: id, special: Special::ResolvePartially },
            Derivation::Special { tree: id, special: Special::ResolveCompletely },
            Derivation::Structure { tree: id },
        ];
        let names: std::collections::HashSet<String> = derivations.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), derivations.len());
    }
}
