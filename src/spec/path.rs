//! Paths inside a tree, which cannot leave it.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A normal relative path: components separated by single slashes, none of them `.` or `..`.
///
/// Ordered by components, so that what lies in a directory follows it at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelativePath(String);

impl RelativePath {
    /// Returns the path of the tree itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Returns the path that the text states; empty and `.` are the tree itself.
    ///
    /// # Errors
    /// When the path is absolute, not normal, or leaves the tree.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() || text == "." {
            return Ok(Self::root());
        }
        if !text.split('/').all(valid_name) {
            return Err(PathError { text: super::place::shown(text) });
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the names on the way to the path.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|component| !component.is_empty())
    }

    /// Returns a path that is relative to this one.
    ///
    /// # Errors
    /// When the text is not a relative path.
    pub fn join(&self, text: &str) -> Result<Self, PathError> {
        let inner = Self::parse(text)?;
        Ok(match (self.is_root(), inner.is_root()) {
            (true, _) => inner,
            (_, true) => self.clone(),
            _ => Self(format!("{self}/{inner}")),
        })
    }

    /// Says whether this is the path of the tree itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Says whether this path is the other one or lies inside it.
    pub fn starts_with(&self, outer: &Self) -> bool {
        let mut inner = self.components();
        outer.components().all(|component| inner.next() == Some(component))
    }

    /// Returns the path as text, empty for the tree itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Says whether a text can name an entry of a directory.
pub fn valid_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// Returns two of the paths of which the first contains or equals the second.
pub(crate) fn overlap(mut paths: Vec<&RelativePath>) -> Option<(&RelativePath, &RelativePath)> {
    paths.sort_unstable();
    paths.windows(2).map(|pair| (pair[0], pair[1])).find(|(outer, inner)| inner.starts_with(outer))
}

impl Ord for RelativePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for RelativePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RelativePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl From<RelativePath> for String {
    fn from(path: RelativePath) -> Self {
        path.0
    }
}

/// A text that is no path inside a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a normal relative path")]
pub struct PathError {
    /// What was given, cut to a readable length.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text).unwrap()
    }

    #[test]
    fn empty_and_dot_are_the_tree_itself() {
        assert!(path("").is_root() && path(".").is_root() && path("").components().next().is_none());
    }

    #[test]
    fn no_path_leaves_its_tree() {
        for bad in ["/", "/etc", "..", "a/../b", "a//b", "a/", "./a", "a/.", "a\0b"] {
            assert!(RelativePath::parse(bad).is_err(), "{bad}");
        }
        assert!(path("a").join("../b").is_err() && path("a").join("/b").is_err());
    }

    #[test]
    fn joining_the_root_changes_nothing() {
        assert_eq!(path("a/b").join(".").unwrap(), path("a/b"));
        assert_eq!(path("").join("a/b").unwrap(), path("a/b"));
        assert_eq!(path("a").join("b").unwrap().components().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn overlaps_are_found_by_components_and_not_by_letters() {
        let (a, ab, a_b, root) = (path("a"), path("a/b"), path("a-b"), path(""));
        assert_eq!(overlap(vec![&ab, &a_b, &a]), Some((&a, &ab)));
        assert_eq!(overlap(vec![&a_b, &ab]), None);
        assert_eq!(overlap(vec![&a, &a]), Some((&a, &a)));
        assert_eq!(overlap(vec![&a, &root]), Some((&root, &a)));
    }
}
