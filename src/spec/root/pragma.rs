//! How a root is treated, whatever its type.

use schemars::{Schema, SchemaGenerator};

use crate::spec::error::SpecError;
use crate::spec::form::value::{boolean, one_of};
use crate::spec::form::{self, Field, optional};
use crate::spec::object::{Node, Object};

/// How a root is treated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pragma {
    /// Whether the root is known by id only and its content is not brought to the client.
    pub absent: bool,
    /// Whether a `file` root is fixed by importing the directory as a Git tree.
    pub to_git: bool,
    /// What happens to symbolic links in the root.
    pub special: Option<Special>,
}

/// What happens to entries that are neither files nor directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// They are left out.
    Ignore,
    /// Links that lead upwards inside the root are replaced by what they lead to.
    ResolvePartially,
    /// All links that stay inside the root are replaced by what they lead to.
    ResolveCompletely,
}

impl Special {
    /// Returns the word that a spec uses for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::ResolvePartially => "resolve-partially",
            Self::ResolveCompletely => "resolve-completely",
        }
    }
}

impl std::fmt::Display for Special {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

const ABSENT: &[Field] = &[optional("absent", "This client does not fetch the root: the server knows it.", boolean)];
const TO_GIT: &[Field] = &[optional("to_git", "Fixes the root by what the directory holds.", boolean)];
const IGNORING: &[Field] = &[optional("special", "Symlinks are left out.", |_| one_of(&["ignore"]))];
const RESOLVING: &[Field] = &[optional(
    "special",
    "Symlinks are left out, replaced by what they lead to where they lead upwards, or all replaced.",
    |_| one_of(&["ignore", "resolve-partially", "resolve-completely"]),
)];

/// The fields for a type that cannot resolve links.
const WITHOUT_LINKS: &[&[Field]] = &[ABSENT, IGNORING];
/// The fields for a `file`.
const OF_DIRECTORY: &[&[Field]] = &[ABSENT, RESOLVING, TO_GIT];

pub(super) fn without_links(generator: &mut SchemaGenerator) -> Schema {
    form::object(generator, WITHOUT_LINKS)
}

pub(super) fn with_links(generator: &mut SchemaGenerator) -> Schema {
    form::object(generator, &[ABSENT, RESOLVING])
}

pub(super) fn of_directory(generator: &mut SchemaGenerator) -> Schema {
    form::object(generator, OF_DIRECTORY)
}

/// Whether a type of root can resolve its symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolving {
    Yes,
    No,
}

impl Pragma {
    /// Takes the pragma of a root that states its content.
    pub(super) fn read(root: &mut Object, resolving: Resolving) -> Result<Self, SpecError> {
        let Some(node) = root.take("pragma") else { return Ok(Self::default()) };
        let mut object = node.object(WITHOUT_LINKS)?;
        Ok(Self {
            absent: object.or_default("absent", Node::boolean)?,
            to_git: false,
            special: object.optional("special", |node| special(node, resolving))?,
        })
    }

    /// Takes the pragma of a `file` root, which is fixed when it is imported or its links are resolved.
    pub(super) fn read_for_file(root: &mut Object) -> Result<Self, SpecError> {
        let Some(node) = root.take("pragma") else { return Ok(Self::default()) };
        let mut object = node.object(OF_DIRECTORY)?;
        let special = object.optional("special", |node| special(node, Resolving::Yes))?;
        let resolved = special.is_some_and(|special| special != Special::Ignore);
        Ok(Self {
            absent: object.or_default("absent", Node::boolean)?,
            to_git: object.or_default("to_git", Node::boolean)? || resolved,
            special,
        })
    }
}

fn special(node: Node, resolving: Resolving) -> Result<Special, SpecError> {
    let wrong = node.invalid(match resolving {
        Resolving::Yes => "`ignore`, `resolve-partially` or `resolve-completely` is expected",
        Resolving::No => "a root of this type knows `ignore` only",
    });
    match (node.string()?.as_str(), resolving) {
        ("ignore", _) => Ok(Special::Ignore),
        ("resolve-partially", Resolving::Yes) => Ok(Special::ResolvePartially),
        ("resolve-completely", Resolving::Yes) => Ok(Special::ResolveCompletely),
        _ => Err(wrong),
    }
}
