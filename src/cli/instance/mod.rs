//! Instances of environments: `up`, `exec`, `cp`, `logs`, `reset`, `down`, `ps`.

mod copies;
pub(super) mod cp;
pub(super) mod down;
pub(super) mod exec;
pub(super) mod logs;
mod ports;
pub(super) mod ps;
mod ready;
pub(super) mod reset;
pub(super) mod up;

use std::path::PathBuf;

use clap::Args;

use super::client::root;
use super::error::CliError;
use crate::instance::{Instance, Instances};

/// Where the instances are.
#[derive(Debug, Args)]
pub(super) struct RootArguments {
    /// Where everything is kept [default: $XDG_CACHE_HOME/envserve]
    #[arg(long, env = "ENVSERVE_ROOT", value_name = "DIR")]
    root: Option<PathBuf>,
}

impl RootArguments {
    fn instances(self) -> Result<Instances, CliError> {
        Ok(Instances::of(&root(self.root.as_deref())?))
    }
}

/// Returns id and addresses in one line.
fn line(instance: &Instance) -> String {
    let mut line = instance.id.clone();
    for (name, address) in &instance.ports {
        line.push_str(&format!(" {name}={}:{}", address.host, address.port));
    }
    line
}
