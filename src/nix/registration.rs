//! What `nix-store --load-db` reads: the objects of a store, each in lines of its own.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::path_info::nar_hash;
use super::{StorePath, ValidPath};

/// Returns the text that registers a closure.
pub fn registration(closure: &BTreeMap<StorePath, ValidPath>) -> String {
    let mut text = String::new();
    for (path, ValidPath { info, deriver, .. }) in closure {
        let deriver = deriver.as_ref().map(ToString::to_string).unwrap_or_default();
        let (hash, size, count) = (nar_hash(&info.nar), info.nar.size(), info.references.len());
        writeln!(text, "{path}\n{hash}\n{size}\n{deriver}\n{count}").expect("a string takes everything");
        for reference in &info.references {
            writeln!(text, "{reference}").expect("a string takes everything");
        }
    }
    text
}
