//! From a tree with attributes to the tar archive of a layer, the same bytes whoever writes it.
//!
//! The calling task fetches the content of files and hands pieces to a blocking thread, which hashes, compresses and
//! writes. Entries are in the order of paths: a directory, its opaque mark, then what it contains. So parents come
//! before children, and files before the links to them.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::super::attributes::{Attributes, Metadata};
use super::super::media_type::LayerCompression;
use super::super::tree::{Branch, Child, Content, DIRECTORY_MODE, Leaf, WHITEOUT, join};
use super::compress::{Compressor, Hashed};
use super::header::{Kind, encode, encode_whiteout};
use super::{BLOCK, LayerError, padding};
use crate::digest::Digest;
use crate::store::pieces::{PIECE_BYTES, PIECES, Piece, forward, write_pieces};
use crate::store::{BATCH_BYTES, BlobStore, Listing, StoreError, blocking, collect_tree};

/// Bytes and number of files that are asked for at once.
const AHEAD_BYTES: u64 = 4 * BATCH_BYTES;
const AHEAD_BLOBS: usize = 1000;
/// The name that says that a directory is opaque.
const OPAQUE: &str = ".wh..wh..opq";

/// A layer that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenLayer {
    /// SHA-256 and size of the tar archive: the `diff_id`.
    pub archive: Digest,
    /// SHA-256 and size of its form: what a manifest names.
    pub blob: Digest,
}

/// Writes a layer to a sink, which is returned, flushed.
///
/// Files that are too large for memory go through temporary files in `scratch`.
///
/// # Errors
/// When the tree is not whole in the store, the attributes do not fit to it, or the sink refuses.
///
/// # Cancel safety
/// Dropping the future leaves the layer half written.
pub async fn write_layer<W: Write + Send + 'static>(
    store: &dyn BlobStore,
    root: Digest,
    attributes: &Attributes,
    compression: LayerCompression,
    scratch: &Path,
    sink: W,
) -> Result<(WrittenLayer, W), LayerError> {
    LayerArchive::list(store, root, attributes).await?.write(store, compression, scratch, sink).await
}

/// What the archive of a layer is made of, but for the content of its files.
pub struct LayerArchive {
    items: Vec<Item>,
}

impl LayerArchive {
    /// Lists a layer in the CAS.
    ///
    /// # Errors
    /// When a directory is not in the store, the attributes do not fit to the tree, or the store fails.
    pub async fn list(store: &dyn BlobStore, root: Digest, attributes: &Attributes) -> Result<Self, LayerError> {
        let tree = collect_tree(store, root).await?;
        let listing = Listing::parse(root, &tree).map_err(|source| StoreError::Directory { digest: root, source })?;
        let layer = Branch::join(&listing, attributes)?;
        layer.check_implied("")?;
        let mut items = Vec::new();
        list(&layer, "", &mut HashMap::new(), &mut items);
        Ok(Self { items })
    }

    /// Returns the content of its files.
    pub fn files(&self) -> Vec<Digest> {
        let content = |item: &Item| match item {
            Item::File { digest, .. } => Some(*digest),
            Item::Header(_) => None,
        };
        self.items.iter().filter_map(content).collect()
    }

    /// Returns how much memory it takes, about.
    pub fn weight(&self) -> usize {
        let header = |item: &Item| match item {
            Item::Header(header) | Item::File { header, .. } => header.len(),
        };
        self.items.iter().map(|item| header(item) + size_of::<Item>()).sum()
    }

    /// Writes it to a sink, as `write_layer`.
    ///
    /// # Errors
    /// When a file is not in the store, the store fails, or the sink refuses.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the layer half written.
    pub async fn write<W: Write + Send + 'static>(
        &self,
        store: &dyn BlobStore,
        compression: LayerCompression,
        scratch: &Path,
        sink: W,
    ) -> Result<(WrittenLayer, W), LayerError> {
        let (sender, receiver) = channel(PIECES);
        let writing = blocking(move || write_form(receiver, compression, sink));
        let sending =
            async move { Archive { store, scratch, sender, gathered: BytesMut::new() }.write(&self.items).await };
        let (sent, written) = tokio::join!(sending, writing);
        // A sink that refuses also ends the sending, and is the cause then; what was not all sent is not taken for whole.
        let written = written.map_err(LayerError::io("write"))?;
        sent?;
        Ok(written)
    }

    /// Hands the plain archive over, piece by piece, without hashing it. No thread waits while nobody takes a piece.
    ///
    /// # Errors
    /// When a file is not in the store, the store fails, or a temporary file cannot be used. That nobody takes the
    /// pieces any more is none.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the archive half handed over.
    pub async fn send(&self, store: &dyn BlobStore, scratch: &Path, pieces: Sender<Bytes>) -> Result<(), LayerError> {
        let (sender, receiver) = channel(1);
        let sending =
            async move { Archive { store, scratch, sender, gathered: BytesMut::new() }.write(&self.items).await };
        let (sent, forwarded) = tokio::join!(sending, forward(receiver, pieces));
        forwarded.map_err(LayerError::io("read part of"))?;
        sent
    }
}

fn write_form<W: Write>(
    pieces: Receiver<Piece>,
    compression: LayerCompression,
    sink: W,
) -> io::Result<(WrittenLayer, W)> {
    if compression == LayerCompression::None {
        // The form is the archive, and need not be hashed a second time.
        let mut archive = Hashed::new(sink);
        write_pieces(pieces, &mut archive)?;
        let (mut sink, archive) = archive.finish();
        sink.flush()?;
        return Ok((WrittenLayer { archive, blob: archive }, sink));
    }
    let mut archive = Hashed::new(Compressor::new(compression, Hashed::new(sink))?);
    write_pieces(pieces, &mut archive)?;
    let (compressor, archive) = archive.finish();
    let (mut sink, blob) = compressor.finish()?.finish();
    sink.flush()?;
    Ok((WrittenLayer { archive, blob }, sink))
}

/// An entry of the archive.
enum Item {
    /// Headers without content.
    Header(Vec<u8>),
    /// A file, whose content follows.
    File { header: Vec<u8>, digest: Digest },
}

/// Lists the entries of a directory in their order.
fn list(branch: &Branch, path: &str, names: &mut HashMap<usize, String>, items: &mut Vec<Item>) {
    if let Some(metadata) = &branch.metadata {
        let name = if path.is_empty() { "./".to_owned() } else { format!("{path}/") };
        items.push(Item::Header(encode(&name, Kind::Directory, metadata, DIRECTORY_MODE)));
    }
    if branch.opaque {
        items.push(Item::Header(encode_whiteout(&join(path, OPAQUE))));
    }
    let mut children: Vec<(&String, Option<&Child>)> =
        branch.entries.iter().map(|(name, it)| (name, Some(it))).collect();
    children.extend(branch.whiteouts.iter().map(|name| (name, None)));
    children.sort_unstable_by_key(|(name, _)| *name);
    for (name, child) in children {
        match child {
            None => items.push(Item::Header(encode_whiteout(&join(path, &format!("{WHITEOUT}{name}"))))),
            Some(Child::Directory(inner)) => list(inner, &join(path, name), names, items),
            Some(Child::Leaf(leaf)) => items.push(item(leaf, join(path, name), names)),
        }
    }
}

fn item(leaf: &Arc<Leaf>, path: String, names: &mut HashMap<usize, String>) -> Item {
    let header = |kind, metadata: &Metadata| encode(&path, kind, metadata, leaf.content.default_mode());
    match &leaf.content {
        Content::Symlink { target } => Item::Header(header(Kind::Symlink { target }, &leaf.metadata)),
        Content::Special(special) => Item::Header(header(Kind::Special(*special), &leaf.metadata)),
        Content::File { digest, .. } => {
            let place = Arc::as_ptr(leaf).addr();
            if let Some(target) = names.get(&place) {
                // Some programs set the attributes of a link once more, so they are those of the file; only once
                // are the extended ones needed.
                let metadata = Metadata { xattrs: Default::default(), ..leaf.metadata.clone() };
                return Item::Header(header(Kind::HardLink { target }, &metadata));
            }
            let header = header(Kind::File { size: digest.size() }, &leaf.metadata);
            names.insert(place, path);
            Item::File { header, digest: *digest }
        }
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
    async fn write(&mut self, items: &[Item]) -> Result<(), LayerError> {
        let mut ready = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            match item {
                Item::Header(header) => self.gathered.extend_from_slice(header),
                Item::File { header, digest } => {
                    self.gathered.extend_from_slice(header);
                    if digest.size() > BATCH_BYTES {
                        self.flush().await;
                        let file = self.store.get_temporary(digest, self.scratch, "file of a layer").await?;
                        // Nobody takes it when the sink refused, which is told elsewhere.
                        let _ = self.sender.send(Piece::File(file)).await;
                    } else if digest.size() > 0 {
                        if !ready.contains_key(digest) {
                            ready = self.store.get_batch(&ahead(&items[index..])).await?;
                        }
                        let missing = || StoreError::Missing { digest: *digest, role: "file of a layer" };
                        self.gathered.extend_from_slice(ready.get(digest).ok_or_else(missing)?);
                    }
                    self.gathered.extend_from_slice(&[0; BLOCK][..padding(digest.size())]);
                }
            }
            if self.gathered.len() >= PIECE_BYTES && !self.flush().await {
                return Ok(());
            }
        }
        self.gathered.extend_from_slice(&[0; 2 * BLOCK]);
        self.flush().await;
        Ok(())
    }

    /// Hands over what is gathered, and says whether anybody took it.
    async fn flush(&mut self) -> bool {
        self.sender.send(Piece::Bytes(self.gathered.split().freeze())).await.is_ok()
    }
}

/// Returns the first file's digest and those of small files after it, up to what is asked for at once.
fn ahead(items: &[Item]) -> Vec<Digest> {
    let mut room = AHEAD_BYTES;
    let small = items.iter().filter_map(|item| match item {
        Item::File { digest, .. } if (1..=BATCH_BYTES).contains(&digest.size()) => Some(*digest),
        Item::File { .. } | Item::Header(_) => None,
    });
    let fits = |digest: &Digest| {
        let fits = digest.size() <= room;
        room = room.saturating_sub(digest.size());
        fits
    };
    small.take(AHEAD_BLOBS).take_while(fits).collect()
}
