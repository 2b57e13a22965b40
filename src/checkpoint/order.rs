//! What the worker is told: files in the input root of its action.

use serde::{Deserialize, Serialize};

use crate::spec::Service;

/// The hidden verb of the worker: the action runs `envserve make-checkpoint` in its input root.
pub const VERB: &str = "make-checkpoint";
/// The command of the action.
pub const COMMAND: [&str; 2] = ["envserve", VERB];
/// The order, as JSON.
pub const ORDER: &str = "order.json";
/// The configuration of the image.
pub const CONFIG: &str = "config.json";
/// The root file system of the image, as a tar archive.
pub const ROOT_ARCHIVE: &str = "root.tar";

/// The order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The version of what the worker reads and leaves.
    pub version: u32,
    /// The service.
    pub service: Service,
}

impl Order {
    /// The version of the form.
    pub const VERSION: u32 = 1;
}
