//! Checkpoints: warm services, made once, from which copies start.

mod up;
