//! What is known of an instance: `ROOT/instances/ID/state.json`, written by the process that looks after it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::FormName;

/// Version of the file, and of what `--json` prints.
pub const STATE_VERSION: u32 = 1;
const FILE: &str = "state.json";

/// An instance of an environment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// The version of this form.
    pub version: u32,
    /// What it is called.
    pub id: String,
    /// What it is an instance of: an environment, and its key.
    pub environment: String,
    /// The key.
    pub key: String,
    /// What it started from, when it is a copy of a checkpoint.
    pub form: Option<FormName>,
    /// What no other start has had: a random UUID, another one after each `reset`.
    pub generation: String,
    /// Whether it runs.
    pub status: Status,
    /// Its first process on this host, while it runs.
    pub pid: Option<u32>,
    /// The process that looks after it.
    pub supervisor: u32,
    /// The process to which it belongs; none when it stays until it is taken down.
    pub owner: Option<u32>,
    /// Where its ports are: by their names in the image, such as `5432/tcp`.
    pub ports: BTreeMap<String, Address>,
    /// Where its files lie while it runs.
    pub directory: PathBuf,
}

/// Where a port of an instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// A Unix socket that leads there as well, for root of this host.
    pub socket: PathBuf,
}

/// Whether an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It is being started.
    Starting,
    /// It runs, and was ready when it was started.
    Running,
    /// Its command has ended, with this exit code.
    Ended(u8),
}

impl Instance {
    /// Returns the one in a directory, if it is known already.
    pub(super) fn read(directory: &Path) -> io::Result<Option<Self>> {
        match fs::read(directory.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it.
    pub(super) fn write(&self) -> io::Result<()> {
        let beside = self.directory.join("state.json.new");
        fs::write(&beside, serde_json::to_vec(self)?)?;
        fs::rename(beside, self.directory.join(FILE))
    }
}
