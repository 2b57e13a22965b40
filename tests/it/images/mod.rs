//! Environments of kind `image`: built.
