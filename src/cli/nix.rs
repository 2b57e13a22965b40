//! Arguments about the binary cache of Nix.

use std::path::PathBuf;

use clap::Args;

use crate::nix::PublicKey;
use crate::serve::CacheOptions;

/// How a daemon is a binary cache.
#[derive(Debug, Args)]
pub(super) struct NixArguments {
    /// The secret key that signs what the binary cache at /nix/ says [default: one that is made below the root]
    #[arg(long, env = "ENVSERVE_NIX_SECRET_KEY", value_name = "FILE")]
    nix_secret_key: Option<PathBuf>,

    /// Let clients upload to the binary cache at /nix/, as `nix copy --to` does.
    #[arg(long)]
    nix_upload: bool,

    /// A public key, NAME:BASE64. When such are given, one of them must have signed what is uploaded.
    #[arg(long = "nix-trusted-key", requires = "nix_upload", value_name = "KEY")]
    nix_trusted_keys: Vec<PublicKey>,
}

impl NixArguments {
    pub(super) fn options(&self) -> CacheOptions {
        CacheOptions {
            secret_key: self.nix_secret_key.clone(),
            upload: self.nix_upload,
            trusted_keys: self.nix_trusted_keys.clone(),
        }
    }
}
