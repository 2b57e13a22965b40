//! Arguments about where environments are wanted.

use std::path::PathBuf;

use clap::Args;

use super::absolute::absolute;
use super::error::CliError;
use crate::client::{Placement, View};

/// Where closures go.
#[derive(Debug, Args)]
pub(super) struct StoreArguments {
    /// The directory whose `nix/store` has the closures of `nix` environments, shared by all users of this host who
    /// may write there [default: ROOT/store]
    #[arg(long, env = "ENVSERVE_STORE", value_name = "DIR")]
    store: Option<PathBuf>,
}

impl StoreArguments {
    /// Returns where environments are wanted, in this form.
    pub(super) fn placement(&self, view: View) -> Result<Placement, CliError> {
        let store = self.store.as_deref().filter(|path| !path.as_os_str().is_empty());
        Ok(Placement { view, store: store.map(absolute).transpose()?, ..Placement::default() })
    }
}
