//! What the worker leaves, in the one output directory of its action.
//!
//! ```text
//! made/outcome.json
//! made/layer-N.tar         upper layers of overlays, the lowest first; owners as the container has them
//! made/memory/NAME.zst     a file that CRIU wrote (mode and owner do not matter)
//! made/memory/NAME/000000.zst    a large one, in chunks by content, in their order
//! ```

use serde::{Deserialize, Serialize};

use crate::spec::Made;

/// The output directory.
pub const MADE: &str = "made";
/// The outcome, as JSON.
pub const OUTCOME: &str = "outcome.json";
/// What the names of layers begin with; a number and `.tar` follow.
pub const LAYER_PREFIX: &str = "layer-";
/// The directory with what CRIU wrote.
pub const MEMORY: &str = "memory";

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The version of the form, that of the order.
    pub version: u32,
    /// The forms.
    pub made: Made,
    /// How many layers there are.
    pub layers: usize,
}
