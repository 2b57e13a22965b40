//! An item, and what became of it.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::digest::Digest;
use crate::spec::{Config, EnvKey, Target};

/// An environment in a configuration.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Item {
    /// The spec as it was named.
    pub(super) spec: String,
    /// Repository, module and name; null where the spec does not tell.
    pub(super) environment: Option<[String; 3]>,
    /// The configuration of the spec with what was set.
    pub(super) config: Config,
    /// What it is looked up by: HASH/SIZE; null where that is not known.
    pub(super) key: Option<EnvKey>,
    /// What became of it.
    pub(super) outcome: Outcome,
    /// Its root `Directory`, where the server has it.
    pub(super) root: Option<Digest>,
    /// From when the server was asked for it.
    pub(super) duration_ms: Option<u64>,
    /// Until when a pin keeps it, in seconds since 1970.
    pub(super) kept_until: Option<i64>,
    /// Why it failed.
    pub(super) error: Option<Failure>,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// The server had it.
    Hit,
    /// It was built.
    Built,
    /// The server does not have it, or does not keep it.
    Failed,
    /// A signal came first.
    Unfinished,
}

impl Item {
    pub(super) fn new(spec: &str, target: Option<&Target>, config: &Config) -> Self {
        let parts = |target: &Target| [target.repository.clone(), target.module.to_string(), target.name.clone()];
        Self {
            spec: spec.to_owned(),
            environment: target.map(parts),
            config: config.clone(),
            key: None,
            outcome: Outcome::Unfinished,
            root: None,
            duration_ms: None,
            kept_until: None,
            error: None,
        }
    }

    pub(super) fn failed(mut self, failure: Failure) -> Self {
        self.fail(failure);
        self
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.outcome = Outcome::Failed;
        self.error = Some(failure);
    }
}

impl fmt::Display for Item {
    /// `MODULE:NAME A=x B:=1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.environment {
            Some([_, module, name]) if module.is_empty() => f.write_str(name)?,
            Some([_, module, name]) => write!(f, "{module}:{name}")?,
            None => f.write_str("-")?,
        }
        self.config.iter().try_for_each(|(name, value)| match value.as_str() {
            Some(text) => write!(f, " {name}={text}"),
            None => write!(f, " {name}:={value}"),
        })
    }
}

impl Outcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Built => "built",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
        }
    }
}
