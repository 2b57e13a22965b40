//! The memory of a service: what CRIU wrote, in compressed pieces in the CAS, and as files for CRIU.

mod error;
mod pieces;
#[cfg(test)]
mod tests;
mod unpack;

pub use error::MemoryError;

pub(crate) use pieces::image_files;
pub(crate) use unpack::{MAX_MEMORY, each, unpack};
