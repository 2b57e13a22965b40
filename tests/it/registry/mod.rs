//! The registry, with the programs that use registries.
