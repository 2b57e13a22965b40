//! From the listing of a `nix` environment to the store paths in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::nix::{Registration, RegistrationError, STORE_DIRECTORY, StorePath, StorePathError};
use crate::spec::{Descriptor, NixFacts};
use crate::store::{ListedFile, Listing};

/// The file that says what Nix has to know.
const REGISTRATION: &str = "registration";
/// Largest such file that is read.
const MAX_REGISTRATION: u64 = 256 << 20;
/// What the store paths lie below.
const STORE: &str = "nix/store";

/// Why an environment is no closure of store paths.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    /// Something lies in it that belongs neither to the store nor to what is known of it.
    #[error("`{path}` does not belong into it")]
    Foreign {
        /// Where.
        path: String,
    },
    /// The file that says what Nix has to know is not there, or is too large.
    #[error("it has no usable file `registration`")]
    Unregistered,
    /// That file registers no closure.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// A path is an output, or lies in the store, but is not part of the closure.
    #[error("`{path}` is not part of it")]
    Open {
        /// The path.
        path: StorePath,
    },
    /// A name that no store path can have.
    #[error("it has a path of the store that cannot be one")]
    Name(#[from] StorePathError),
    /// A variable that no process can be given.
    #[error("its variable `{name}` is not fit for use")]
    Variable {
        /// Its name, cut to a readable length.
        name: String,
    },
    /// It has nothing to be entered.
    #[error("it has no output")]
    NoOutput,
}

/// An output of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NixOutput {
    /// Its name.
    pub name: String,
    /// Where it lies, once entered.
    pub path: StorePath,
}

/// What a descriptor says of a `nix` environment, checked.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The outputs asked for, in that order; at least one.
    pub(crate) outputs: Vec<NixOutput>,
    /// The variables of the shell, for an environment that is one.
    pub(crate) variables: Option<BTreeMap<String, String>>,
}

impl Facts {
    /// Returns what the descriptor says, or `None` for an environment of another kind.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(crate) fn of(descriptor: &Descriptor) -> Result<Option<Self>, ClosureError> {
        let Some(NixFacts { outputs, variables }) = &descriptor.nix else { return Ok(None) };
        let read = |output: &crate::spec::NixOutput| {
            Ok(NixOutput { name: output.name.clone(), path: StorePath::from_base_name(&output.path)? })
        };
        let outputs: Vec<NixOutput> = outputs.iter().map(read).collect::<Result<_, ClosureError>>()?;
        if outputs.is_empty() {
            return Err(ClosureError::NoOutput);
        }
        let unfit =
            |(name, value): &(&String, &String)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
        if let Some((name, _)) = variables.iter().flatten().find(unfit) {
            return Err(ClosureError::Variable { name: name.chars().take(80).collect() });
        }
        Ok(Some(Self { outputs, variables: variables.clone() }))
    }

    /// Checks that what is registered has the outputs.
    ///
    /// # Errors
    /// `Open` with one that it lacks.
    pub(crate) fn check(&self, registration: &Registration) -> Result<(), ClosureError> {
        match self.outputs.iter().find(|output| !registration.contains(&output.path)) {
            Some(output) => Err(ClosureError::Open { path: output.path.clone() }),
            None => Ok(()),
        }
    }
}

/// A listing that is a closure.
#[derive(Debug)]
pub(crate) struct Closure {
    /// The digest of the file that says what Nix has to know.
    pub(crate) registration: Digest,
    paths: BTreeSet<StorePath>,
    listing: Listing,
}

impl Closure {
    /// Takes a listing apart.
    ///
    /// # Errors
    /// When there is anything in it but store paths and their registration.
    pub(crate) fn of(listing: Listing) -> Result<Self, ClosureError> {
        let is_registration = |file: &&ListedFile| file.path == REGISTRATION && file.digest.size() <= MAX_REGISTRATION;
        let registration = listing.files.iter().find(is_registration).ok_or(ClosureError::Unregistered)?.digest;
        let directories = listing.directories.iter().map(|path| (path, true));
        let files = listing.files.iter().map(|file| (&file.path, false));
        let symlinks = listing.symlinks.iter().map(|(path, _)| (path, false));
        let mut paths = BTreeSet::new();
        for (path, is_directory) in directories.chain(files).chain(symlinks) {
            match base_name(path) {
                // An entry below it follows the store path itself.
                Some(name) if name.contains('/') => {}
                Some(name) => {
                    paths.insert(StorePath::from_base_name(name)?);
                }
                None if is_directory && (path == "nix" || path == STORE) => {}
                None if !is_directory && path == REGISTRATION => {}
                None => return Err(ClosureError::Foreign { path: path.clone() }),
            }
        }
        Ok(Self { registration, paths, listing })
    }

    /// Returns the paths.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &StorePath> {
        self.paths.iter()
    }

    /// Checks that exactly the paths of the closure are registered.
    ///
    /// # Errors
    /// `Open` with a path that is only here or only there.
    pub(crate) fn check(&self, registration: &Registration) -> Result<(), ClosureError> {
        let lacking = registration.paths().find(|path| !self.paths.contains(*path));
        match lacking.or_else(|| self.paths.iter().find(|path| !registration.contains(path))) {
            Some(path) => Err(ClosureError::Open { path: path.clone() }),
            None => Ok(()),
        }
    }

    /// Returns the listing of some of the paths alone, each directly at the top.
    pub(crate) fn listing(&self, wanted: &BTreeSet<StorePath>) -> Listing {
        let wanted: BTreeSet<&str> = wanted.iter().map(StorePath::base_name).collect();
        let below = |path: &str| {
            let name = base_name(path)?;
            let top = name.split_once('/').map_or(name, |(top, _)| top);
            wanted.contains(top).then(|| name.to_owned())
        };
        let listing = &self.listing;
        let file = |file: &ListedFile| Some(ListedFile { path: below(&file.path)?, ..file.clone() });
        Listing {
            directories: listing.directories.iter().filter_map(|path| below(path)).collect(),
            files: listing.files.iter().filter_map(file).collect(),
            symlinks: listing.symlinks.iter().filter_map(|(path, to)| Some((below(path)?, to.clone()))).collect(),
            directory_blobs: Vec::new(),
        }
    }
}

/// Returns the part of a path of a listing that lies below the store.
fn base_name(path: &str) -> Option<&str> {
    debug_assert_eq!(STORE_DIRECTORY.trim_start_matches('/'), STORE);
    path.strip_prefix(STORE)?.strip_prefix('/')
}
