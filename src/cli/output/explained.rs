//! What `envserve explain --json` prints.

use schemars::JsonSchema;
use serde::Serialize;

use super::Version;
use crate::client::{ComparedKey, ComponentDifference, Explanation, PathChange};
use crate::spec::EnvKey;

/// Why an environment is a miss, or that it is none.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct Explained<'a> {
    /// The version of this form.
    version: Version<1>,
    /// What the environment is looked up by: HASH/SIZE.
    key: EnvKey,
    /// Whether the server has it.
    state: State,
    /// Whether it had: then what the entry reaches is gone.
    was_there: bool,
    /// What it was compared with, if there was anything.
    compared: Option<Compared<'a>>,
    /// In what they differ, the first to be told first.
    differences: Vec<Difference<'a>>,
}

/// Whether the server has an environment.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It has it.
    Hit,
    /// It would build it.
    Miss,
}

/// What an environment was compared with.
#[derive(Serialize, JsonSchema)]
struct Compared<'a> {
    /// Its key: HASH/SIZE.
    key: &'a str,
    /// Its name: NAME, or MODULE:NAME.
    environment: &'a str,
    /// When it was built, in seconds since 1970, if that is known.
    built_at: Option<u64>,
}

/// A component in which two keys differ.
#[derive(Serialize, JsonSchema)]
struct Difference<'a> {
    /// Its kind: `root`, `variable`, `property`, …
    component: &'a str,
    /// The property, variable or binding.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// What the spec calls the repository, for a component that is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<&'a str>,
    /// The bindings that lead to that repository from that of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    bindings: Option<&'a [String]>,
    /// What it is here, if it is there at all: of a variable as JSON, of a root or binding the Git tree id.
    here: Option<&'a str>,
    /// What it is in the other one.
    there: Option<&'a str>,
    /// The first path in which two roots differ, where both are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    /// In what they differ there.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<PathChange>,
}

impl<'a> Explained<'a> {
    pub(in crate::cli) fn new(key: EnvKey, explanation: &'a Explanation) -> Self {
        let compared = explanation.compared.as_ref();
        let differences = compared.iter().flat_map(|compared| &compared.differences);
        Self {
            version: Version,
            key,
            state: if explanation.hit { State::Hit } else { State::Miss },
            was_there: explanation.was_there,
            compared: compared.map(Compared::new),
            differences: differences.map(Difference::new).collect(),
        }
    }
}

impl<'a> Compared<'a> {
    fn new(compared: &'a ComparedKey) -> Self {
        Self { key: &compared.key, environment: &compared.environment, built_at: compared.built_at }
    }
}

impl<'a> Difference<'a> {
    fn new(difference: &'a ComponentDifference) -> Self {
        let ComponentDifference { component, name, bindings, repository, here, there, path } = difference;
        Self {
            component,
            name: name.as_deref(),
            repository: repository.as_deref(),
            bindings: repository.is_some().then_some(bindings),
            here: here.as_deref(),
            there: there.as_deref(),
            path: path.as_ref().map(|first| first.path.as_str()),
            change: path.as_ref().map(|first| first.change),
        }
    }
}
