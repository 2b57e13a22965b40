//! What `envserve fetch --absent --json` prints: what a build tool needs to use an environment without fetching it.

use schemars::JsonSchema;
use serde::Serialize;

use super::Version;
use crate::spec::{Descriptor, EnvKey};

/// An environment by the digests of what it is.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct Absent<'a> {
    /// The version of this form.
    pub(in crate::cli) version: Version<1>,
    /// What the environment is looked up by: HASH/SIZE.
    pub(in crate::cli) key: EnvKey,
    /// What is known about it; `root` is the digest of its Directory in the CAS.
    pub(in crate::cli) descriptor: &'a Descriptor,
    /// Of an image: the digest of its OCI manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub(in crate::cli) manifest: Option<String>,
    /// Of an image: the value of the property `container-image` of actions that run in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) container_image: Option<String>,
    /// Of a checkpoint: the value of the property `service` of actions that have a copy of it beside them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(blake3|sha256):[0-9a-f]{64}/[0-9]+$"))]
    pub(in crate::cli) service: Option<String>,
}
