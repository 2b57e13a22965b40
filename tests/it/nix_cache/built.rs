//! What the server has built itself, as the binary cache gives it to Nix.

use super::*;
use crate::nix::{Expression, descriptor, output};

#[test]
fn what_was_built_as_an_environment_is_substituted_and_verified() {
    let cache = Cache::new(&[]);
    let expression = Expression::features();
    let mut client = expression.world.client_of(&cache.daemon, "client");
    let object = output(&descriptor(&mut client, &expression.spec("everything")));
    let key = cache.public_key();
    for at in ["", "/zstd"] {
        for nix in Nix::all(&cache.world, &format!("fetcher{}", at.len())) {
            let from = cache.address(at);
            let settings =
                format!("substitute = true\nsubstituters = {from}\ntrusted-public-keys = {key}\nrequire-sigs = true\n");
            nix.succeed_with("nix-store", &["--realise", &object], &settings);
            nix.succeed_with("nix", &["store", "verify", "--recursive", &object], &settings);
            let closure = nix.succeed("nix-store", &["--query", "--requisites", &object]);
            assert!(closure.lines().count() > 20, "{closure}");
            nix.succeed("nix-store", &["--verify", "--check-contents"]);
        }
    }
}
