//! What a descriptor says of a checkpoint: in which forms the warm service is there.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::descriptor::ImageFacts;
use super::fingerprint::Fingerprint;
use super::kind::Service;

/// What only a `checkpoint` environment has, besides its tree, in which everything lies as `checkpoint::Stored` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "What only a `checkpoint` environment has.")]
pub struct CheckpointFacts {
    /// The image that the service runs in.
    pub image: ImageFacts,
    /// The service.
    pub service: Service,
    /// What was seen where it was made.
    pub made: Made,
    /// Whether the forms hold what the memory of the service held: keys, passwords, tokens.
    pub sensitive: bool,
}

/// The forms of a warm service, and how they did where they were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// The host on which they were made.
    pub host: Fingerprint,
    /// Milliseconds from the start until the service was ready.
    pub cold_ms: u64,
    /// Milliseconds that the warm-up took then.
    pub warmup_ms: u64,
    /// The processes as they were, in their memory.
    pub memory: Form,
    /// What was on the disk after a clean stop.
    pub filesystem: Form,
}

/// A form of a warm service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Form {
    /// It was started again, and was ready.
    Published {
        /// Milliseconds that this took.
        ready_ms: u64,
        /// How many of the layers, from the lowest on, lie over the image then.
        layers: usize,
    },
    /// It is not there.
    Refused {
        /// Why not.
        reason: String,
    },
}

/// What a copy of a service starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FormName {
    /// The form `memory`.
    Memory,
    /// The form `filesystem`.
    Filesystem,
    /// None: the image, and the warm-up once more.
    Cold,
}

impl FormName {
    /// Returns the name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Filesystem => "filesystem",
            Self::Cold => "cold",
        }
    }
}

impl Made {
    /// Returns how long a copy takes, in milliseconds, that is made without any form.
    pub fn without_ms(&self) -> u64 {
        self.cold_ms.saturating_add(self.warmup_ms)
    }
}
