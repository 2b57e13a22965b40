//! Images on a client.
