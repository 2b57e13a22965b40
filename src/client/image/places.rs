//! The places of files in a root file system being made.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::keeper::{Keeper, Target};
use crate::client::ClientError;
use crate::container::{FileFacts, PlannedFile};
use crate::digest::Digest;
use crate::store::StoreError;

/// Goes from file to file in a directory being made, and holds the directory open in which the last one stands.
pub(super) struct Walk<'a> {
    top: &'a Path,
    at: Option<(&'a str, PathBuf, File)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(top: &'a Path) -> Self {
        Self { top, at: None }
    }

    /// Returns where a path is.
    pub(super) fn to(&mut self, path: &'a str) -> Result<Target<'_>, ClientError> {
        let (within, name) = path.rsplit_once('/').unwrap_or(("", path));
        if self.at.as_ref().is_none_or(|(open, ..)| *open != within) {
            let path = self.top.join(within);
            let directory = File::open(&path).map_err(ClientError::io("open the directory", &path))?;
            self.at = Some((within, path, directory));
        }
        let (_, path, directory) = self.at.as_ref().expect("it was just set");
        Ok(Target { directory, path, name })
    }
}

/// Files that are missing: by content, those that differ in what else they are like, each with its places in the plan.
pub(super) type MissingFiles = HashMap<Digest, Vec<(FileFacts, Vec<usize>)>>;

/// Links a file that is kept to all of these places.
pub(super) fn link_all(
    keeper: &Keeper,
    top: &Path,
    files: &[PlannedFile],
    places: &[usize],
) -> Result<(), ClientError> {
    let mut walk = Walk::new(top);
    for planned in places.iter().map(|at| &files[*at]) {
        if !keeper.link(&planned.file, walk.to(&planned.path)?, planned.names)? {
            return Err(StoreError::Missing { digest: planned.file.digest, role: "just written" }.into());
        }
    }
    Ok(())
}
