//! What is not here yet.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::digest::Digest;

/// A place for a blob within a directory being made.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub path: PathBuf,
    pub executable: bool,
}

/// Blobs that are not in the local store, and where each is to go.
pub(super) type Missing = HashMap<Digest, Vec<Place>>;
