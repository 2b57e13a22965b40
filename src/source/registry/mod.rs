//! Registries elsewhere: images that bases name, pulled by digest.
