//! Images on a client: root file systems, layouts and archives.
