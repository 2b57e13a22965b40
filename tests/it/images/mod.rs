//! Environments of kind `image`: built.

mod run;
