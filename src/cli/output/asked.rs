//! What the verbs print as JSON that tell of a request or of entering: `key` and `env`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Version;
use crate::spec::{Config, Description, EnvKey, RelativePath};

/// What an environment is looked up by.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct KeyComponents<'a> {
    /// The version of this form.
    pub(in crate::cli) version: Version<1>,
    /// The key: HASH/SIZE.
    pub(in crate::cli) key: EnvKey,
    /// The hash of `repositories`.
    pub(in crate::cli) repo_key: String,
    /// The module and the name of the environment.
    pub(in crate::cli) target_name: (&'a RelativePath, &'a str),
    /// The variables that the environment sees, null where unset.
    pub(in crate::cli) effective_config: &'a Config,
    /// The remote-execution properties with which it is built.
    pub(in crate::cli) properties: &'a BTreeMap<String, String>,
    /// The repository that defines it, `0`, and all that its bindings reach.
    pub(in crate::cli) repositories: &'a Description,
}

/// What entering an environment sets.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct Variables<'a> {
    /// The version of this form.
    pub(in crate::cli) version: Version<1>,
    /// Directories to be put before those of `PATH`.
    pub(in crate::cli) path: Vec<Cow<'a, str>>,
    /// Other variables.
    pub(in crate::cli) vars: &'a BTreeMap<String, String>,
}
