//! What this host can: each ability is found out by doing the thing itself, for a bounded time, and leaves nothing
//! behind.
//!
//! ```text
//! probe ─┬─ namespaces, mounts, sandbox, cgroup: a short program, or a few calls of the system
//!        └─ containers ──► this program once more, as the first process of namespaces of its own ──► trial/
//! ```
//!
//! What the kernel gives to namespaces goes with the last process in them, so a trial that hangs is killed whole.

mod ability;
pub(crate) mod bubblewrap;
pub(crate) mod cgroup;
mod command;
mod containers;
mod cores;
mod cpu;
mod criu;
pub(crate) mod criu_files;
mod fingerprint;
mod mounts;
mod namespaces;
pub(crate) mod platform;
mod programs;
mod scratch;
mod trial;
pub(crate) mod users;

use std::path::PathBuf;

pub use ability::Ability;
pub(crate) use cores::{cores, on_all_cores};
pub use criu::Criu;
pub use fingerprint::{FingerprintError, fingerprint};
pub(crate) use programs::find;
pub use trial::{Trial, TrialError};

/// The first of the host's ids for containers and ranges of users when envserve is root: where those begin that
/// systemd, too, gives to containers by itself.
pub(crate) const FIRST_ID: u32 = 0x7000_0000;
/// How many ids a container, or a range of users, has.
pub(crate) const IDS: u32 = 1 << 16;
/// Whom root runs actions as: `nobody`.
pub(crate) const NOBODY: u32 = 65_534;

/// Where abilities are tried, and with what.
#[derive(Debug, Clone)]
pub struct Site {
    /// A directory that is there, on the file system that is to be used.
    pub directory: PathBuf,
    /// This program.
    pub program: PathBuf,
    /// CRIU, if it is not to be looked for in `PATH`.
    pub criu: Option<PathBuf>,
}

/// What was found of an ability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The ability.
    pub ability: Ability,
    /// Whether it is there.
    pub state: State,
}

/// Whether an ability is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is.
    Has {
        /// By what, or how far.
        detail: String,
    },
    /// It is not.
    Lacks {
        /// What was attempted, and what came of it.
        reason: String,
        /// How to get it.
        remedy: String,
    },
}

impl Found {
    /// Says whether the ability is there.
    pub fn has(&self) -> bool {
        matches!(self.state, State::Has { .. })
    }
}

/// Why an ability is not there.
#[derive(Debug)]
struct Lack {
    reason: String,
    remedy: String,
}

impl Lack {
    fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into().trim_end().to_owned(), remedy: remedy.into() }
    }

    /// What only root can do.
    fn root(what: &str) -> Self {
        Self::new(format!("only root can {what}"), "run envserve as root")
    }
}

/// Finds out about an ability.
///
/// # Cancel safety
/// Dropping the future kills what it has started; of a container its control groups can stay, which are empty.
pub async fn probe(ability: Ability, site: &Site) -> Found {
    let found = match ability {
        Ability::Sandbox => bubblewrap::probe().await,
        Ability::UserNamespaces => namespaces::probe().await,
        Ability::UserRange => namespaces::probe_range().await,
        Ability::Overlays => mounts::probe_overlays(site).await,
        Ability::IdMappedMounts => mounts::probe_id_mapped(site).await,
        Ability::ControlGroups => cgroup::probe().await,
        Ability::Runc => containers::probe_runc(site).await,
        Ability::Criu => containers::probe_criu(site).await,
        Ability::Git => programs::probe("git", "git").await,
        Ability::Nix => programs::probe("nix-store", "nix-bin").await,
        Ability::Podman => programs::probe("podman", "podman").await,
        Ability::Skopeo => programs::probe("skopeo", "skopeo").await,
    };
    let state = match found {
        Ok(detail) => State::Has { detail },
        Err(Lack { reason, remedy }) => State::Lacks { reason, remedy },
    };
    Found { ability, state }
}

/// Says whether this process is root.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
