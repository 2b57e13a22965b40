//! From an archive to a tree in the CAS.
//!
//! A blocking thread reads and checks; what it finds goes to the calling task,
//! which stores it. Nothing of it is written to a path, so no name can lead
//! anywhere; each is checked as the entry of a Directory all the same.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tempfile::NamedTempFile;
use tokio::sync::mpsc::{Sender, channel};

use super::read::NarReader;
use super::{MAX_DEPTH, MAX_ENTRIES, NarError};
use crate::digest::{Digest, DigestFunction};
use crate::store::{BATCH_BYTES, BlobStore, Directory, Found, Node, blocking, put_all};

/// Bytes of a large file that are in memory at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Blobs that may wait for the task that stores them.
const WAITING: usize = 8;

/// What was in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The object.
    pub root: Node,
    /// SHA-256 and size of the archive.
    pub nar: Digest,
}

/// Reads an archive to its end and stores what is in it, with digests of that function.
///
/// Files that are too large for memory go through temporary files in `scratch`.
///
/// # Errors
/// When it is not exactly what `write_nar` writes for the tree in it, has more than `limit` bytes, or the store fails.
///
/// # Cancel safety
/// Some of its blobs may be stored. The thread that reads ends at the next blob.
pub async fn unpack_nar<R: Read + Send + 'static>(
    source: R,
    store: &dyn BlobStore,
    function: DigestFunction,
    scratch: &Path,
    limit: u64,
) -> Result<Unpacked, NarError> {
    let (sender, receiver) = channel(WAITING);
    let scratch = scratch.to_owned();
    let reading = blocking(move || {
        let reader = NarReader::new(source.take(limit.saturating_add(1)));
        Unpacker { reader, function, scratch, limit, sender, entries: 0 }.archive()
    });
    let (unpacked, stored) = tokio::join!(reading, put_all(store, receiver));
    stored?;
    unpacked
}

/// A directory whose entries are being read.
struct Level {
    name: Option<String>,
    directory: Directory,
    last: Option<String>,
}

struct Unpacker<R> {
    reader: NarReader<std::io::Take<R>>,
    function: DigestFunction,
    scratch: PathBuf,
    limit: u64,
    sender: Sender<Found>,
    entries: usize,
}

impl<R: Read> Unpacker<R> {
    fn archive(mut self) -> Result<Unpacked, NarError> {
        self.reader.magic()?;
        let root = self.root()?;
        if self.reader.offset() > self.limit {
            return Err(NarError::TooLarge { limit: self.limit, what: "bytes" });
        }
        Ok(Unpacked { root, nar: self.reader.end()? })
    }

    /// Reads the object; directories that are not closed yet stand on a stack, so depth costs no stack of calls.
    fn root(&mut self) -> Result<Node, NarError> {
        let mut levels: Vec<Level> = Vec::new();
        let mut name = None;
        loop {
            let mut node = match self.node()? {
                Some(node) => node,
                None => {
                    if levels.len() >= MAX_DEPTH {
                        return Err(NarError::TooLarge { limit: MAX_DEPTH as u64, what: "levels" });
                    }
                    levels.push(Level { name: name.take(), directory: Directory::default(), last: None });
                    match self.entry(levels.last_mut().expect("it was pushed"))? {
                        Some(next) => {
                            name = Some(next);
                            continue;
                        }
                        None => self.close(&mut levels, &mut name)?,
                    }
                }
            };
            loop {
                let Some(level) = levels.last_mut() else { return self.check_root(node) };
                self.add(level, name.take().expect("entries have names"), node)?;
                if let Some(next) = self.entry(level)? {
                    name = Some(next);
                    break;
                }
                node = self.close(&mut levels, &mut name)?;
            }
        }
    }

    /// Reads a node; a directory, of which only the head is read, is `None`.
    fn node(&mut self) -> Result<Option<Node>, NarError> {
        self.reader.expect("(")?;
        self.reader.expect("type")?;
        let node = match self.reader.one_of(["regular", "directory", "symlink"], "regular, directory or symlink")? {
            "directory" => return Ok(None),
            "regular" => self.file()?,
            _ => {
                self.reader.expect("target")?;
                Node::Symlink { target: self.reader.string("a target of at most 4096 bytes")? }
            }
        };
        self.reader.expect(")")?;
        Ok(Some(node))
    }

    fn file(&mut self) -> Result<Node, NarError> {
        let executable = self.reader.one_of(["executable", "contents"], "executable or contents")? == "executable";
        if executable {
            self.reader.expect("")?;
            self.reader.expect("contents")?;
        }
        let size = self.reader.length()?;
        if size > self.limit {
            return Err(NarError::TooLarge { limit: self.limit, what: "bytes" });
        }
        let digest = if size > BATCH_BYTES {
            self.large(size)?
        } else {
            let mut bytes = vec![0; usize::try_from(size).expect("it was compared")];
            self.reader.bytes(&mut bytes)?;
            self.blob(bytes.into())?
        };
        self.reader.padding(size)?;
        Ok(Node::File { digest, executable })
    }

    fn large(&mut self, size: u64) -> Result<Digest, NarError> {
        let room = "make room for";
        let mut file = NamedTempFile::new_in(&self.scratch).map_err(NarError::io(room))?;
        let mut hasher = self.function.hasher();
        let mut buffer = vec![0; BUFFER_BYTES];
        while hasher.size() < size {
            let rest = usize::try_from(size - hasher.size()).unwrap_or(BUFFER_BYTES);
            let piece = &mut buffer[..rest.min(BUFFER_BYTES)];
            self.reader.bytes(piece)?;
            hasher.update(piece);
            file.write_all(piece).map_err(NarError::io(room))?;
        }
        let digest = hasher.finish();
        self.send(Found::File(digest, file))?;
        Ok(digest)
    }

    fn blob(&mut self, bytes: Bytes) -> Result<Digest, NarError> {
        let digest = self.function.digest(&bytes);
        self.send(Found::Bytes(digest, bytes))?;
        Ok(digest)
    }

    fn send(&mut self, found: Found) -> Result<(), NarError> {
        // The store failed, which is what the caller is told, or nobody waits any more.
        let gone = |_| NarError::Io { action: "store the content of", source: std::io::ErrorKind::BrokenPipe.into() };
        self.sender.blocking_send(found).map_err(gone)
    }

    /// Reads the head of the next entry and returns its name, or `None` where the directory ends.
    fn entry(&mut self, level: &mut Level) -> Result<Option<String>, NarError> {
        if self.reader.one_of(["entry", ")"], "entry or )")? == ")" {
            return Ok(None);
        }
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(NarError::TooLarge { limit: MAX_ENTRIES as u64, what: "entries" });
        }
        self.reader.expect("(")?;
        self.reader.expect("name")?;
        let name = self.reader.string("a name")?;
        let offset = self.reader.offset();
        if level.last.as_ref().is_some_and(|last| *last >= name) {
            return Err(NarError::Order { offset, name });
        }
        level.last = Some(name.clone());
        self.reader.expect("node")?;
        Ok(Some(name))
    }

    /// Adds an entry whose node has been read, and reads its end.
    fn add(&mut self, level: &mut Level, name: String, node: Node) -> Result<(), NarError> {
        let offset = self.reader.offset();
        level.directory.insert(name, node).map_err(|source| NarError::Entry { offset, source })?;
        self.reader.expect(")")
    }

    /// Stores the directory that ended, and gives back the name under which it stands in the one above.
    fn close(&mut self, levels: &mut Vec<Level>, name: &mut Option<String>) -> Result<Node, NarError> {
        let level = levels.pop().expect("an open directory ends");
        *name = level.name;
        Ok(Node::Directory { digest: self.blob(level.directory.encode().into())? })
    }

    /// Checks an object that stands in no directory as an entry of one.
    fn check_root(&self, root: Node) -> Result<Node, NarError> {
        let entry = Directory::default().insert("root".into(), root.clone());
        entry.map_err(|source| NarError::Entry { offset: self.reader.offset(), source })?;
        Ok(root)
    }
}
