//! The variables of a process that works in an environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::spec::Descriptor;

/// The variables that an environment sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// Directories to be put before the caller's `PATH`.
    pub path: Vec<OsString>,
    /// Other variables.
    pub variables: BTreeMap<String, String>,
}

/// Returns the variables of an environment that lies in `directory`.
pub fn entered(descriptor: &Descriptor, directory: &Path) -> Entered {
    let root = directory.display().to_string();
    let path = descriptor.provides.path.iter().map(|path| directory.join(path.to_string()).into_os_string());
    Entered { path: path.collect(), variables: descriptor.provides.vars_at(&root) }
}

impl Entered {
    /// Returns `PATH` for a process whose own was `caller`.
    pub fn full_path(&self, caller: Option<OsString>) -> OsString {
        let mut full = OsString::new();
        for part in self.path.iter().cloned().chain(caller) {
            if !full.is_empty() {
                full.push(":");
            }
            full.push(part);
        }
        full
    }
}
