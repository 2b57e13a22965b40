//! What is tried with containers, by this program as the first process of namespaces of its own: whatever becomes of
//! it, the kernel ends all that it has started and takes away all that it has mounted.
//!
//! Nothing here is bounded in time, for who started it kills it.
//!
//! ```text
//! PLACE (a tmpfs)/rootfs/envserve  lib/     this program and what it is linked with
//!                /bundle/config.json  /state  /image  /work  /bin/criu  /criu.conf  /runc.log
//! ```

mod container;
mod error;
mod runc;
mod service;

use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::mount::{MountFlags, mount};
use rustix::process::umask;
use serde::{Deserialize, Serialize};

pub use error::TrialError;

use container::{Container, Work};
use runc::Runc;

/// Where the service listens, in a network of its own.
const PORT: u16 = 7007;

/// What is to be tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trial {
    /// Run a container that does next to nothing.
    Container(Tools),
    /// Write a service in a container to disk, and wake it up.
    Checkpoint {
        /// What it takes.
        tools: Tools,
        /// CRIU.
        criu: PathBuf,
    },
    /// Be that service.
    Service,
}

/// What a trial takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tools {
    /// An empty directory, into which the container's users may look.
    pub(super) place: PathBuf,
    /// The name of the container's control groups.
    pub(super) name: String,
    /// runc.
    pub(super) runc: PathBuf,
    /// Whether the container gets a namespace with a range of users; it is in one with this user alone otherwise.
    pub(super) mapped: bool,
}

impl Trial {
    /// Tries it, and returns what is worth telling.
    ///
    /// # Errors
    /// With what failed.
    pub fn run(&self) -> Result<String, TrialError> {
        match self {
            Self::Container(tools) => run_container(tools),
            Self::Checkpoint { tools, criu } => checkpoint(tools, criu.clone()),
            Self::Service => service::serve(PORT).map(|never| match never {}),
        }
    }
}

fn run_container(tools: &Tools) -> Result<String, TrialError> {
    prepare(tools)?;
    let runc = Runc::new(tools, None);
    Container::new(tools, Work::Version)?.write(tools)?;
    let said = runc.run(&tools.name)?;
    let wanted = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    if said.trim() == wanted {
        Ok("a container was run".to_owned())
    } else {
        Err(TrialError::Answer { wanted: wanted.to_owned(), answer: said.trim().chars().take(100).collect() })
    }
}

/// The service counts how often it was asked, which it has in memory only.
fn checkpoint(tools: &Tools, criu: PathBuf) -> Result<String, TrialError> {
    prepare(tools)?;
    let runc = Runc::new(tools, Some(criu));
    Container::new(tools, Work::Service)?.write(tools)?;
    let process = runc.start(&tools.name)?;
    service::expect(process, PORT, "answer 1")?;
    runc.checkpoint(&tools.name)?;
    let process = runc.restore(&tools.name)?;
    service::expect(process, PORT, "answer 2")?;
    runc.delete(&tools.name)?;
    Ok("a listening service of another user than root was dumped and restored, and answers".to_owned())
}

/// Mounts the file system for everything.
fn prepare(tools: &Tools) -> Result<(), TrialError> {
    if std::process::id() != 1 {
        return Err(TrialError::NotFirst);
    }
    // The container's users have to get at what runc and CRIU write.
    umask(Mode::from_raw_mode(0o022));
    let mounted = mount("tmpfs", &tools.place, "tmpfs", MountFlags::NODEV, Some(c"mode=0755"));
    mounted.map_err(|error| TrialError::io("mount a file system on", &tools.place)(error.into()))
}
