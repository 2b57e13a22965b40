//! What the verbs print as JSON that tell of this host: `doctor`, `ps`, `up` and `fsck`.

use schemars::JsonSchema;
use serde::Serialize;

use super::Version;
use crate::host::{Found, State};
use crate::instance::{Instance, STATE_VERSION};
use crate::spec::Fingerprint;

/// The instances of environments on this host.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct Instances<'a> {
    /// The version of this form.
    pub(in crate::cli) version: Version<STATE_VERSION>,
    /// The instances.
    pub(in crate::cli) instances: &'a [Instance],
}

/// What this host can, and how to get what it lacks.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct Abilities<'a> {
    /// The version of this form.
    version: Version<1>,
    /// What was tried.
    abilities: Vec<Ability<'a>>,
    /// Everything that checkpoints of memory depend on, where this host can make them.
    fingerprint: Option<NamedFingerprint<'a>>,
}

/// Something that a host can, or cannot.
#[derive(Serialize, JsonSchema)]
struct Ability<'a> {
    /// What it is called.
    name: &'a str,
    /// What it is for.
    purpose: &'a str,
    /// Whether each host needs it.
    needed: bool,
    /// Whether this host has it.
    has: bool,
    /// What was found, where it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// Why it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// How to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

/// The fingerprint of a host.
#[derive(Serialize, JsonSchema)]
struct NamedFingerprint<'a> {
    /// Its digest, which is equal only where all parts are.
    digest: String,
    /// Its parts.
    parts: &'a Fingerprint,
}

impl<'a> Abilities<'a> {
    pub(in crate::cli) fn new(told: &'a [Found], fingerprint: Option<&'a Fingerprint>) -> Self {
        let named = |parts: &'a Fingerprint| NamedFingerprint { digest: parts.to_string(), parts };
        let abilities = told.iter().map(Ability::new).collect();
        Self { version: Version, abilities, fingerprint: fingerprint.map(named) }
    }
}

impl<'a> Ability<'a> {
    fn new(found: &'a Found) -> Self {
        let (detail, reason, remedy) = match &found.state {
            State::Has { detail } => (Some(detail.as_str()), None, None),
            State::Lacks { reason, remedy } => (None, Some(reason.as_str()), Some(remedy.as_str())),
        };
        let ability = found.ability;
        let (name, purpose, needed) = (ability.as_str(), ability.purpose(), ability.is_needed());
        Self { name, purpose, needed, has: found.has(), detail, reason, remedy }
    }
}

/// What was found in the store of a daemon.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct Checked<'a> {
    /// The version of this form.
    pub(in crate::cli) version: Version<1>,
    /// How many blobs were checked.
    pub(in crate::cli) blobs: u64,
    /// How many bytes they have.
    pub(in crate::cli) bytes: u64,
    /// What is wrong.
    pub(in crate::cli) problems: &'a [String],
    /// How many of the problems were mended.
    pub(in crate::cli) repaired: u64,
}
