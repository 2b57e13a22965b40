//! Containers of images on this host, held by runc, without a daemon.
//!
//! ```text
//! root file system, layers (shared, never changed) ─► overlay with an upper layer of its own ─► runc ─► the command
//!      root: id-mapped                            in namespaces of mounts, processes
//!      a user: as it is                           and, for a user, users
//! ```
//!
//! The process that mounts looks after runc, which is the first process of its namespace: when that process dies, however
//! it does, the kernel kills runc and with it everything that the command has started. The namespaces of mounts go with
//! their processes, so only the directory (directory.rs) is left then.

mod account;
mod beside;
mod config;
mod descriptors;
mod directory;
mod error;
mod hook;
mod inside;
mod memory;
mod mounts;
mod output;
mod owner;
mod process;
mod programs;
mod ready;
mod root;
mod service;

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub use error::ContainerError;
pub use hook::attach;

pub(crate) use beside::Stopped;
pub(crate) use config::Container;
pub(crate) use descriptors::{receive, send};
pub(crate) use directory::{Directory, clear, is_held};
pub(crate) use hook::VERB as HOOK_VERB;
pub(crate) use inside::Entrance;
pub(crate) use mounts::{Mounted, STATE};
pub(crate) use output::Output;
pub(crate) use owner::Owner;
pub(crate) use process::{Processes, World, code, command, wait, watched};
pub(crate) use programs::Programs;
pub(crate) use ready::until_ready;
pub(crate) use root::{FileFacts, MakeError, Plan, PlannedFile, content_name};
pub(crate) use service::{Beginning, Running, Service};

/// What is run, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerOptions {
    /// The command; empty for the one that the image names.
    pub command: Vec<String>,
    /// Variables that the image does not have, or has otherwise.
    pub environment: Vec<(String, String)>,
    /// Where the command starts, when not where the image says.
    pub directory: Option<String>,
    /// What it sees of this host.
    pub binds: Vec<Bind>,
    /// Whom it can speak to.
    pub network: Network,
    /// What it may use, when not whatever there is.
    pub limits: Option<Limits>,
}

impl ContainerOptions {
    /// Returns those of a container that sees nothing of this host, with the command of its image.
    pub(crate) fn alone() -> Self {
        Self {
            command: Vec::new(),
            environment: Vec::new(),
            directory: None,
            binds: Vec::new(),
            network: Network::None,
            limits: None,
        }
    }
}

/// What a container may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processes and threads at a time.
    pub processes: u64,
}

/// A file or directory of this host that is seen in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the host, absolute.
    pub source: PathBuf,
    /// In the image, absolute.
    pub destination: String,
    /// Whether it is only read.
    pub read_only: bool,
}

/// Whom a command can speak to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Whomever the host can.
    #[default]
    Host,
    /// Only itself.
    None,
}
