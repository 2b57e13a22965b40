//! What can be wrong with a spec, an environments file, a key or a descriptor.
//!
//! Behaviour is decided on the variants; the text says where, what was found
//! and what was expected, and [`SpecError::hint`] how to put it right.

use super::place::Place;

/// Why a document is refused.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The text is not JSON.
    #[error("{file}:{line}:{column}: this is not valid JSON")]
    Syntax {
        /// The file.
        file: String,
        /// The line, counted from one.
        line: usize,
        /// The column, counted from one.
        column: usize,
        /// What the reader of JSON says.
        source: serde_json::Error,
    },
    /// An object has the same key twice.
    #[error("{file}:{line}:{column}: the key `{key}` stands twice in one object")]
    DuplicateKey {
        /// The file.
        file: String,
        /// The line of the second occurrence, counted from one.
        line: usize,
        /// The column of the second occurrence, counted from one.
        column: usize,
        /// The key.
        key: String,
    },
    /// A value has another type than expected.
    #[error("{place}: {expected} is expected, but this is {found}")]
    WrongType {
        /// Where it stands.
        place: Place,
        /// The type expected.
        expected: &'static str,
        /// The type found.
        found: &'static str,
    },
    /// An object has a key that means nothing there.
    #[error("{place}: unknown key `{key}`{}", did_you_mean(nearest.as_ref()))]
    UnknownKey {
        /// The place of the object.
        place: Place,
        /// The key.
        key: String,
        /// The known key most like it.
        nearest: Option<String>,
    },
    /// An object lacks a key that it must have.
    #[error("{place}: the key `{key}` is missing")]
    MissingKey {
        /// The place of the object.
        place: Place,
        /// The key.
        key: &'static str,
    },
    /// A value has the right type and makes no sense.
    #[error("{place}: `{value}` cannot stand here: {expected}")]
    Invalid {
        /// Where it stands.
        place: Place,
        /// The value, cut to a readable length.
        value: String,
        /// What is expected instead.
        expected: &'static str,
    },
    /// A `type` names no kind of root or environment.
    #[error("{place}: unknown type `{name}`{}", did_you_mean(nearest.as_ref()))]
    UnknownType {
        /// Where it stands.
        place: Place,
        /// The name.
        name: String,
        /// The known type most like it.
        nearest: Option<String>,
    },
    /// A repository is named that is not there.
    #[error("{place}: there is no repository `{name}`{}", did_you_mean(nearest.as_ref()))]
    UnknownRepository {
        /// Where it is named.
        place: Place,
        /// The name.
        name: String,
        /// The repository with the most similar name.
        nearest: Option<String>,
    },
    /// The root of a repository is made from itself.
    #[error("{place}: the root of `{repository}` is made from itself")]
    RootCycle {
        /// The place of the root.
        place: Place,
        /// The repository.
        repository: String,
    },
    /// An environment is asked for that the environments file does not define.
    #[error("{file}: there is no environment `{name}`{}", candidates(nearest))]
    UnknownEnvironment {
        /// The environments file.
        file: String,
        /// The name.
        name: String,
        /// The names most like it, the nearest first.
        nearest: Vec<String>,
    },
    /// A variable is used that `flexible_config` does not declare.
    #[error("{place}: `{name}` is not among the variables of `flexible_config`{}", did_you_mean(nearest.as_ref()))]
    UnknownVariable {
        /// Where it is used.
        place: Place,
        /// The variable.
        name: String,
        /// The declared variable most like it.
        nearest: Option<String>,
    },
    /// A variable is used to which the configuration gives no value.
    #[error("{place}: the variable `{name}` has no value")]
    UnsetVariable {
        /// Where it is used.
        place: Place,
        /// The variable.
        name: String,
    },
    /// A variable is used in a text, but its value has no text form.
    #[error("{place}: the variable `{name}` is {found}, which has no text form")]
    NotText {
        /// Where it is used.
        place: Place,
        /// The variable.
        name: String,
        /// The type of its value.
        found: &'static str,
    },
    /// Two paths of which one contains the other.
    #[error("{place}: `{inner}` lies inside `{outer}`")]
    Overlap {
        /// Where both stand.
        place: Place,
        /// The path that contains.
        outer: String,
        /// The path contained.
        inner: String,
    },
    /// A repository may have another content tomorrow.
    #[error("repository `{repository}` is not fixed by content: {reason}")]
    NotContentFixed {
        /// The repository.
        repository: String,
        /// Why it is not.
        reason: String,
        /// What to write so that it is.
        fix: String,
    },
    /// A document that has one form only was given in another.
    #[error("{file} is not in its canonical form")]
    NotCanonical {
        /// The document.
        file: &'static str,
    },
    /// A key was given together with a description that it does not name.
    #[error("the key names the repository description `{stated}`, but the one given is `{given}`")]
    ForeignDescription {
        /// The hash that the key states.
        stated: String,
        /// The hash of the description.
        given: String,
    },
    /// A document is of a version that this program does not know.
    #[error("{file} has version `{found}`, and this program reads version `{known}`")]
    UnknownVersion {
        /// The document.
        file: &'static str,
        /// Its version.
        found: String,
        /// The version that is known.
        known: u32,
    },
    /// A document that only programs write has not the form expected.
    #[error("{file} has not the form expected")]
    Malformed {
        /// The document.
        file: &'static str,
        /// What does not fit.
        source: serde_json::Error,
    },
}

impl SpecError {
    /// Returns what to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { nearest: None, .. } => Some("keys that begin with `x-` are left alone".into()),
            Self::UnsetVariable { name, .. } => Some(format!("give it a value with `-c {name}=…`")),
            Self::UnknownVariable { name, nearest: None, .. } => {
                Some(format!("add `{name}` to `flexible_config`, or write `{{{{{{{{` for two literal braces"))
            }
            Self::NotContentFixed { fix, .. } => Some(fix.clone()),
            Self::UnknownVersion { .. } => Some("use a program of the version that wrote it".into()),
            _ => None,
        }
    }
}

fn did_you_mean(nearest: Option<&String>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Says which known names are the nearest.
pub(crate) fn candidates(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; the nearest are `{}`", names.join("`, `")) }
}
