//! Environments of kind `image`: built.

mod example;
mod registry_base;
