//! Layers: trees with attributes in a CAS, and the tar archives that registries carry.

mod compress;
mod error;
mod found;
mod header;
mod input;
mod overlay;
mod pax;
mod read;
mod sparse;
#[cfg(test)]
mod tests;
mod write;

pub use error::LayerError;
pub use read::{LayerOptions, ReadLayer, read_layer};
pub use write::{LayerArchive, WrittenLayer, write_layer};

/// The unit of tar archives.
const BLOCK: usize = 512;

/// Returns the zeros that follow content of so many bytes.
fn padding(size: u64) -> usize {
    usize::try_from(size.wrapping_neg() % BLOCK as u64).expect("less than a block")
}
