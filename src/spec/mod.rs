//! What is asked for and by what it is known: specs, environments files, keys and descriptors.
//!
//! Data only: no I/O, no network, no clock. What is read here is read strictly,
//! and every refusal names the file and the place ([`SpecError`]). The two
//! documents from which a key is computed have one byte form each (RFC 8785).

pub mod json;

mod bisimulation;
mod checkpoint;
mod components;
mod config;
mod description;
mod descriptor;
mod distfiles;
mod environments;
mod error;
mod expand;
mod fingerprint;
mod form;
mod git_id;
mod key;
mod kind;
mod nearest;
mod object;
mod path;
mod pin;
mod place;
mod provides;
mod reach;
mod root;
mod shard;
mod source;
#[expect(clippy::module_inception, reason = "it is the file of `Spec`")]
mod spec;
#[cfg(test)]
mod tests;

pub use checkpoint::{CheckpointFacts, Form, FormName, Made};
pub use components::{BindingPath, Component, Components, KeyDifference};
pub use config::Config;
pub use description::{Description, ResolvedRepository};
pub use descriptor::{DESCRIPTOR_VERSION, Descriptor, ImageFacts, NixFacts, NixOutput, Provenance};
pub use distfiles::Distfile;
pub use environments::{Definition, Environment, EnvironmentsFile};
pub use error::SpecError;
pub(crate) use error::candidates;
pub use fingerprint::{Difference, FINGERPRINT_VERSION, Fingerprint};
pub use git_id::{GitId, GitIdError};
pub use key::{EnvKey, EnvKeyError, KEY_VERSION, KeyParts};
pub use kind::{
    Base, CheckpointFields, Command, ImageFields, ImageSettings, Kind, KindName, Layer, NixFields, NixMode, Ready,
    Service, Stop, StopBy, TreeFields,
};
pub(crate) use nearest::{nearest, nearest_few};
pub use path::{PathError, RelativePath, valid_name};
pub use pin::{MAX_KEEP, PinName, PinNameError};
pub use place::Place;
pub(crate) use place::shown;
pub use provides::Provides;
pub use reach::Reach;
pub use root::{Download, Pragma, Root, Special};
pub use shard::{Shard, ShardParts};
pub use source::{EnvironmentRef, Origin, Source};
pub use spec::{ENVIRONMENTS_FILE, Repository, Spec, Target};
