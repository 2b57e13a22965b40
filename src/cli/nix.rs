//! Arguments about what a daemon does with Nix: building derivations, and being a binary cache.

use std::path::PathBuf;

use clap::Args;

use crate::environment::NixOptions;
use crate::nix::PublicKey;
use crate::serve::CacheOptions;

#[derive(Debug, Args)]
pub(super) struct NixArguments {
    /// A property that chooses a worker with Nix, for the action that evaluates an expression.
    #[arg(long = "nix-evaluator", value_name = "NAME=VALUE", value_parser = property)]
    evaluator: Vec<(String, String)>,

    /// A property that gives an action the network, for fixed outputs [default: none, so they have no network]
    #[arg(long = "nix-network", value_name = "NAME=VALUE", value_parser = property)]
    network: Vec<(String, String)>,

    /// Seconds that one evaluation of an expression may take.
    #[arg(long = "nix-evaluation-seconds", default_value_t = 600, value_name = "SECONDS")]
    evaluation_seconds: u64,

    /// The secret key that signs what the binary cache at /nix/ says [default: one that is made below the root]
    #[arg(long = "nix-secret-key", env = "ENVSERVE_NIX_SECRET_KEY", value_name = "FILE")]
    secret_key: Option<PathBuf>,

    /// Let clients upload to the binary cache at /nix/, as `nix copy --to` does.
    #[arg(long = "nix-upload")]
    upload: bool,

    /// A public key, NAME:BASE64. When such are given, one of them must have signed what is uploaded.
    #[arg(long = "nix-trusted-key", requires = "upload", value_name = "KEY")]
    trusted_keys: Vec<PublicKey>,
}

impl NixArguments {
    /// Returns how derivations are built.
    pub(super) fn builds(&self) -> NixOptions {
        NixOptions {
            evaluator: self.evaluator.iter().cloned().collect(),
            network: self.network.iter().cloned().collect(),
            evaluation_seconds: self.evaluation_seconds,
        }
    }

    /// Returns how the daemon is a binary cache.
    pub(super) fn cache(&self) -> CacheOptions {
        CacheOptions {
            secret_key: self.secret_key.clone(),
            upload: self.upload,
            trusted_keys: self.trusted_keys.clone(),
        }
    }
}

pub(super) fn property(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is expected"),
    }
}
