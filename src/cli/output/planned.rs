//! What `envserve plan --json` prints.

use schemars::JsonSchema;
use serde::Serialize;

use super::Version;
use crate::client::PlannedState;
use crate::spec::{EnvKey, GitId};

/// What fetching an environment would come to.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct Plan<'a> {
    /// The version of this form.
    pub(in crate::cli) version: Version<1>,
    /// What the environment is looked up by: HASH/SIZE.
    pub(in crate::cli) key: EnvKey,
    /// What would become of it.
    pub(in crate::cli) state: PlannedState,
    /// The environment, then what it uses, as far as that is not in the cache.
    pub(in crate::cli) environments: Vec<Planned<'a>>,
    /// Bytes that would be fetched; null where only a build tells.
    pub(in crate::cli) fetch_bytes: Option<u64>,
    /// Bytes of it that are here; null where that is not known, and for what is here as a whole.
    pub(in crate::cli) here_bytes: Option<u64>,
    /// From where it would be fetched.
    pub(in crate::cli) from: Option<&'a str>,
    /// The repositories whose roots the server does not know.
    pub(in crate::cli) roots: Vec<UnknownRoot<'a>>,
    /// Whether this is all: else the server does not know a root, and it is not here either.
    pub(in crate::cli) complete: bool,
}

/// An environment that is there, or would be built.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct Planned<'a> {
    /// What it is called: NAME, or MODULE:NAME.
    pub(in crate::cli) environment: &'a str,
    /// What it is looked up by: HASH/SIZE.
    pub(in crate::cli) key: &'a str,
    /// What would become of it.
    pub(in crate::cli) state: PlannedState,
    /// How many actions its build runs at least, where that is known.
    pub(in crate::cli) actions: Option<u32>,
    /// How many milliseconds its last build took, or that of another with its name.
    pub(in crate::cli) last_build_ms: Option<u64>,
}

/// A repository whose root the server does not know.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct UnknownRoot<'a> {
    /// The repository.
    pub(in crate::cli) repository: &'a str,
    /// The tree of its root.
    pub(in crate::cli) tree: GitId,
}
