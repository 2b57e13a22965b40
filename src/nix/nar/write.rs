//! From a tree in the CAS to its archive.
//!
//! The calling task walks the tree and hands pieces to a blocking thread, which
//! writes, hashes and searches. Large files wait in files, not in memory.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::{Sender, channel};

use super::walk::{Step, Walk};
use super::{MAGIC, NarError, padding};
use crate::digest::{Digest, DigestFunction, Hasher};
use crate::nix::references::ReferenceScanner;
use crate::nix::store_path::StorePath;
use crate::store::pieces::{PIECE_BYTES, PIECES, Piece, forward, write_pieces};
use crate::store::{BlobStore, Node, blocking};

/// Writes the archive of a tree to a sink, which is returned, flushed.
///
/// Files that are too large for memory go through temporary files in `scratch`.
///
/// # Errors
/// When the tree is not whole in the store or too deep, or the sink refuses.
///
/// # Cancel safety
/// Dropping the future leaves the archive half written.
pub async fn write_nar<W: Write + Send + 'static>(
    store: &dyn BlobStore,
    root: Node,
    scratch: &Path,
    mut sink: W,
) -> Result<W, NarError> {
    let (sender, receiver) = channel(PIECES);
    let writing = blocking(move || write_pieces(receiver, &mut sink).and_then(|()| sink.flush()).map(|()| sink));
    let walking = async {
        let mut archive = Archive { store, scratch, sender, gathered: BytesMut::new() };
        archive.write(root).await
    };
    let (walked, written) = tokio::join!(walking, writing);
    // A sink that refuses also ends the walk, and is the cause then.
    let sink = written.map_err(NarError::io("write"))?;
    walked?;
    Ok(sink)
}

/// Hands the archive of a tree over, piece by piece. No thread waits while nobody takes one.
///
/// Large files go through temporary files in `scratch`.
///
/// # Errors
/// When the tree is not whole in the store or too deep, or a temporary file cannot be used. That nobody takes the
/// pieces any more is none.
///
/// # Cancel safety
/// Dropping the future leaves the archive half handed over.
pub async fn send_nar(
    store: &dyn BlobStore,
    root: Node,
    scratch: &Path,
    pieces: Sender<Bytes>,
) -> Result<(), NarError> {
    let (sender, receiver) = channel(1);
    let walking = async {
        let mut archive = Archive { store, scratch, sender, gathered: BytesMut::new() };
        archive.write(root).await
    };
    let (walked, forwarded) = tokio::join!(walking, forward(receiver, pieces));
    forwarded.map_err(NarError::io("read part of"))?;
    walked
}

/// Returns SHA-256 and size of the archive of a tree, and which of the candidates it names.
///
/// # Errors
/// As `write_nar`.
pub async fn nar_facts(
    store: &dyn BlobStore,
    root: Node,
    scratch: &Path,
    candidates: impl IntoIterator<Item = StorePath>,
) -> Result<(Digest, BTreeSet<StorePath>), NarError> {
    let facts = Facts { hasher: DigestFunction::Sha256.hasher(), scanner: ReferenceScanner::new(candidates) };
    let facts = write_nar(store, root, scratch, facts).await?;
    Ok((facts.hasher.finish(), facts.scanner.finish()))
}

/// Learns from an archive what a store has to know of it.
struct Facts {
    hasher: Hasher,
    scanner: ReferenceScanner,
}

impl Write for Facts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.scanner.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An archive being written.
struct Archive<'a> {
    store: &'a dyn BlobStore,
    scratch: &'a Path,
    sender: Sender<Piece>,
    gathered: BytesMut,
}

impl Archive<'_> {
    async fn write(&mut self, root: Node) -> Result<(), NarError> {
        let mut walk = Walk::new(self.store, root);
        self.string(MAGIC);
        while let Some(step) = walk.next().await? {
            self.step(step).await?;
            if self.gathered.len() >= PIECE_BYTES && !self.flush().await {
                break;
            }
        }
        self.flush().await;
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), NarError> {
        match step {
            Step::Enter(name) => self.begin(name.as_deref(), "directory"),
            Step::Leave { root } => self.end(root),
            Step::Link { name, target } => {
                self.begin(name.as_deref(), "symlink");
                self.strings(&["target", &target]);
                self.end(name.is_none());
            }
            Step::Small { name, executable, bytes } => {
                self.begin_file(name.as_deref(), executable, bytes.len() as u64);
                self.gathered.extend_from_slice(&bytes);
                self.pad(bytes.len() as u64);
                self.end(name.is_none());
            }
            Step::Large { name, executable, digest } => {
                self.begin_file(name.as_deref(), executable, digest.size());
                self.flush().await;
                let file = self.store.get_temporary(&digest, self.scratch, "file of an archive").await?;
                // Nobody takes it when the sink refused, which is told elsewhere.
                let _ = self.sender.send(Piece::File(file)).await;
                self.pad(digest.size());
                self.end(name.is_none());
            }
        }
        Ok(())
    }

    fn begin(&mut self, name: Option<&str>, kind: &str) {
        if let Some(name) = name {
            self.strings(&["entry", "(", "name", name, "node"]);
        }
        self.strings(&["(", "type", kind]);
    }

    fn begin_file(&mut self, name: Option<&str>, executable: bool, size: u64) {
        self.begin(name, "regular");
        if executable {
            self.strings(&["executable", ""]);
        }
        self.string("contents");
        self.gathered.extend_from_slice(&size.to_le_bytes());
    }

    fn end(&mut self, root: bool) {
        self.string(")");
        if !root {
            self.string(")");
        }
    }

    fn strings(&mut self, values: &[&str]) {
        values.iter().for_each(|value| self.string(value));
    }

    fn string(&mut self, value: &str) {
        let length = value.len() as u64;
        self.gathered.extend_from_slice(&length.to_le_bytes());
        self.gathered.extend_from_slice(value.as_bytes());
        self.pad(length);
    }

    fn pad(&mut self, length: u64) {
        self.gathered.extend_from_slice(&[0; 8][..padding(length)]);
    }

    /// Hands over what is gathered, and says whether anybody took it.
    async fn flush(&mut self) -> bool {
        self.sender.send(Piece::Bytes(self.gathered.split().freeze())).await.is_ok()
    }
}
