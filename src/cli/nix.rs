//! Arguments about how a daemon builds derivations of Nix.

use clap::Args;

use crate::environment::NixOptions;

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
}

impl NixArguments {
    pub(super) fn options(&self) -> NixOptions {
        NixOptions {
            evaluator: self.evaluator.iter().cloned().collect(),
            network: self.network.iter().cloned().collect(),
            evaluation_seconds: self.evaluation_seconds,
        }
    }
}

fn property(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is expected"),
    }
}
