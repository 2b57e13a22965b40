//! The registry: images that lie in the CAS, served by the OCI distribution protocol.
