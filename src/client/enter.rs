//! The variables of a process that works in an environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::nix::Stored;
use super::{ClientError, Fetched};
use crate::spec::Descriptor;

/// The variable that a shell of Nix has as well.
const PATH: &str = "PATH";

/// The variables that an environment sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// What its other variables call the directory of the environment.
    pub directory: OsString,
    /// Directories to be put before the caller's `PATH`.
    pub path: Vec<OsString>,
    /// Other variables.
    pub variables: BTreeMap<String, String>,
}

/// Returns the variables of an environment that lies on this host.
///
/// # Errors
/// `NotEntered` when it is an image; or when it is a closure whose variables no process can be given.
pub fn entered(fetched: &Fetched) -> Result<Entered, ClientError> {
    if fetched.descriptor.image.is_some() {
        return Err(ClientError::NotEntered);
    }
    match &fetched.stored {
        None => Ok(entered_at(&fetched.descriptor, fetched.directory.as_os_str())),
        Some(stored) => entered_store(&fetched.descriptor, stored),
    }
}

fn entered_at(descriptor: &Descriptor, directory: &OsStr) -> Entered {
    let base = std::path::Path::new(directory);
    let path = descriptor.provides.path.iter().map(|path| base.join(path.to_string()).into_os_string());
    let variables = descriptor.provides.vars_at(&directory.to_string_lossy());
    Entered { directory: directory.to_owned(), path: path.collect(), variables }
}

/// The same for a closure, whose paths are those below `/nix/store`.
fn entered_store(descriptor: &Descriptor, stored: &Stored) -> Result<Entered, ClientError> {
    let mut entered = entered_at(descriptor, stored.output().to_string().as_ref());
    match stored.variables(descriptor)? {
        Some(mut variables) => {
            let path = variables.remove(PATH).unwrap_or_default();
            entered.path.extend(path.split(':').filter(|part| !part.is_empty()).map(OsString::from));
            variables.append(&mut entered.variables);
            entered.variables = variables;
        }
        None if entered.path.is_empty() => {
            let with_programs =
                stored.outputs.iter().filter(|output| stored.root.real(&output.path).join("bin").is_dir());
            entered.path.extend(with_programs.map(|output| format!("{}/bin", output.path).into()));
        }
        None => {}
    }
    Ok(entered)
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
