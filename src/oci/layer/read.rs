//! From the tar archive of a layer to a tree in the CAS and its attributes.
//!
//! A blocking thread reads and checks; what it finds goes to the calling task, which stores it. Nothing is written to
//! a path, so no name can lead anywhere. Of entries with one path the later one wins, as with the programs that run
//! containers: it takes the place of a file, and of a directory with all that is in it, unless it is a directory too;
//! then it changes its attributes. Nothing leads through a symlink.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use tar::EntryType;
use tokio::sync::mpsc::channel;

use super::super::attributes::{Attributes, Exception, MAX_TIME, Metadata, Special, kept_xattr};
use super::super::tree::{Branch, Child, Content, DIRECTORY_MODE, Leaf, MAX_PATH, WHITEOUT, check_name};
use super::LayerError;
use super::found::{BUFFER_BYTES, Finder};
use super::input::{Entry, Input};
use super::overlay;
use crate::digest::{Digest, DigestFunction};
use crate::spec::RelativePath;
use crate::store::{BlobStore, Found, blocking, put_all};

/// Blobs that may wait for the task that stores them.
const WAITING: usize = 8;
/// Most directories in one another.
const MAX_DEPTH: usize = 256;
/// Most bytes of names and extended attributes, which are in memory.
const MAX_NAMES: u64 = 256 << 20;
/// What begins the names of marks: of opaque directories, and of a file system that nobody uses any more.
const MARK: &str = ".wh..wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// How much a layer may come to, and what is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerOptions {
    /// Most entries, directories that are only implied among them.
    pub max_entries: usize,
    /// Most bytes of the archive.
    pub max_bytes: u64,
    /// Most bytes of the archive for one that is compressed.
    pub max_ratio: u64,
    /// Bytes of the archive up to which the ratio does not matter.
    pub ratio_free_bytes: u64,
    /// Whether times are kept. Without them, layers that differ in times only become one.
    pub keep_times: bool,
    /// Whether it may stop after an entry without the blocks of zeros that mark an end, as with programs that run
    /// containers. Only for an archive whose digest tells that it is whole.
    pub open_end: bool,
    /// Whether it is the archive of an overlay's upper layer, where whiteouts are devices and opaque directories have
    /// an extended attribute.
    pub overlay: bool,
}

impl Default for LayerOptions {
    fn default() -> Self {
        Self {
            max_entries: 2_000_000,
            max_bytes: 64 << 30,
            max_ratio: 200,
            ratio_free_bytes: 64 << 20,
            keep_times: true,
            open_end: false,
            overlay: false,
        }
    }
}

/// What was in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLayer {
    /// The root directory.
    pub root: Digest,
    /// What the tree does not say.
    pub attributes: Attributes,
    /// SHA-256 and size of the tar archive: the `diff_id`.
    pub archive: Digest,
    /// SHA-256 and size of what was read: what a manifest names.
    pub blob: Digest,
}

/// Reads a layer to its end, whatever its compression, and stores what is in it with digests of that function.
///
/// Files that are too large for memory go through temporary files in `scratch`. The caller compares the digests with
/// those that were promised.
///
/// # Errors
/// When it is no tar archive, has entries that no layer can have, exceeds a limit, or the store fails.
///
/// # Cancel safety
/// Some of its blobs may be stored. The thread that reads ends at the next blob.
pub async fn read_layer<R: Read + Send + 'static>(
    source: R,
    store: &dyn BlobStore,
    function: DigestFunction,
    scratch: &Path,
    options: LayerOptions,
) -> Result<ReadLayer, LayerError> {
    let (sender, receiver) = channel(WAITING);
    let scratch = scratch.to_owned();
    let reading = blocking(move || {
        let input = Input::new(source, options)?;
        let found = Finder { function, scratch, sender };
        Reader { input, found, options, layer: Branch::default(), entries: 0, names: 0 }.layer()
    });
    let (read, stored) = tokio::join!(reading, put_all(store, receiver));
    stored?;
    read
}

pub(super) struct Reader<R: Read> {
    input: Input<R>,
    found: Finder,
    options: LayerOptions,
    pub(super) layer: Branch,
    entries: usize,
    names: u64,
}

impl<R: Read> Reader<R> {
    fn layer(mut self) -> Result<ReadLayer, LayerError> {
        while let Some(entry) = self.input.next()? {
            self.count(&entry)?;
            self.take(&entry)?;
        }
        let (archive, blob) = self.input.end()?;
        self.layer.settle();
        let (root, directories, attributes) = self.layer.part(self.found.function);
        directories.into_iter().try_for_each(|(digest, bytes)| self.found.send(Found::Bytes(digest, bytes)))?;
        Ok(ReadLayer { root, attributes, archive, blob })
    }

    fn count(&mut self, entry: &Entry) -> Result<(), LayerError> {
        let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.names += (entry.path.len() + entry.link.len() + xattrs) as u64;
        if self.names > MAX_NAMES {
            return Err(LayerError::TooLarge { limit: MAX_NAMES, what: "bytes of names and extended attributes" });
        }
        self.entries += 1;
        check_entries(self.entries, self.options.max_entries)
    }

    fn take(&mut self, entry: &Entry) -> Result<(), LayerError> {
        let wrong = LayerError::entry(&entry.path);
        let path = entry_path(&entry.path).map_err(&wrong)?;
        if self.options.overlay {
            if self.upper(entry, &path, &wrong)? {
                return Ok(());
            }
        } else if path.components().any(|name| name.starts_with(WHITEOUT)) {
            self.mark(&path, &wrong)?;
            return self.skip(entry);
        }
        let metadata = self.metadata(entry).map_err(&wrong)?;
        // So were directories written before there was a type for them.
        let old_directory = entry.kind == EntryType::Regular && entry.path.ends_with(b"/");
        let content = match entry.kind {
            EntryType::Directory => None,
            EntryType::Regular | EntryType::Continuous if old_directory => {
                self.skip(entry)?;
                None
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let executable = entry.mode & 0o100 != 0;
                let digest = match &entry.sparse {
                    None => self.found.content(&mut self.input, entry.size)?,
                    Some(sparse) => self.found.sparse(&mut self.input, entry.size, sparse, &wrong)?,
                };
                Some(Content::File { digest, executable })
            }
            EntryType::Symlink => Some(Content::Symlink { target: target(&entry.link).map_err(&wrong)? }),
            EntryType::Char => Some(Content::Special(Special::Char { major: entry.device.0, minor: entry.device.1 })),
            EntryType::Block => Some(Content::Special(Special::Block { major: entry.device.0, minor: entry.device.1 })),
            EntryType::Fifo => Some(Content::Special(Special::Fifo)),
            EntryType::Link if entry.size != 0 => return Err(wrong("it is a link with content of its own")),
            EntryType::Link => {
                let target = entry_path(&entry.link).map_err(|_| wrong("it links to a path outside"))?;
                let Some(Child::Leaf(leaf)) = self.layer.find(&target) else {
                    return Err(wrong("it links to nothing that the layer has before it"));
                };
                let leaf = leaf.clone();
                return self.leaf(&path, leaf, &wrong);
            }
            _ => return Err(wrong("it is of an unknown type")),
        };
        match content {
            None => self.directory(&path, metadata, &wrong),
            Some(content) => {
                let mode = metadata.mode.filter(|mode| *mode != content.default_mode());
                let mode = mode.filter(|_| !matches!(content, Content::Symlink { .. }));
                let leaf = Leaf { content, metadata: Metadata { mode, ..metadata } };
                if let Content::Special(special) = leaf.content {
                    Exception::Special(special, Metadata::default()).check().map_err(&wrong)?;
                }
                self.leaf(&path, Arc::new(leaf), &wrong)
            }
        }
    }

    /// Passes content by.
    fn skip(&mut self, entry: &Entry) -> Result<(), LayerError> {
        if !matches!(entry.kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse) {
            return Ok(());
        }
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut rest = entry.size;
        while rest > 0 {
            let piece = usize::try_from(rest).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
            self.input.bytes(&mut buffer[..piece])?;
            rest -= piece as u64;
        }
        self.input.padding(entry.size)
    }

    /// Notes what the name of a whiteout says.
    fn mark(&mut self, path: &RelativePath, wrong: &dyn Fn(&'static str) -> LayerError) -> Result<(), LayerError> {
        let names: Vec<&str> = path.components().collect();
        let (name, above) = names.split_last().expect("one of them begins so");
        if *name == OPAQUE && !above.iter().any(|name| name.starts_with(WHITEOUT)) {
            self.parent(above, wrong)?.opaque = true;
            return Ok(());
        }
        if names.iter().any(|name| name.starts_with(MARK)) {
            return Ok(());
        }
        if above.iter().any(|name| name.starts_with(WHITEOUT)) {
            return Err(wrong("it lies in a whiteout"));
        }
        let gone = name.strip_prefix(WHITEOUT).filter(|name| crate::spec::valid_name(name));
        let gone = gone.ok_or_else(|| wrong("it is a whiteout of nothing"))?;
        self.parent(above, wrong)?.whiteouts.insert(gone.to_owned());
        Ok(())
    }

    fn metadata(&self, entry: &Entry) -> Result<Metadata, &'static str> {
        let id = |id: u64| u32::try_from(id).map_err(|_| "its owner is not one that Linux knows");
        let mut xattrs = BTreeMap::new();
        let kept = |name: &[u8]| kept_xattr(name) && !(self.options.overlay && overlay::owns(name));
        for (name, value) in entry.xattrs.iter().filter(|(name, _)| kept(name)) {
            let name = String::from_utf8(name.clone()).map_err(|_| "the name of an extended attribute is not UTF-8")?;
            xattrs.insert(name, value.clone());
        }
        let metadata = Metadata {
            mode: u16::try_from(entry.mode & 0o7777).ok(),
            uid: id(entry.uid)?,
            gid: id(entry.gid)?,
            mtime: if self.options.keep_times { entry.mtime.min(MAX_TIME) } else { 0 },
            xattrs,
        };
        Exception::Node(metadata.clone()).check()?;
        Ok(metadata)
    }

    /// Returns a directory, made with those above it where they are not there yet.
    pub(super) fn parent(
        &mut self,
        names: &[&str],
        wrong: &dyn Fn(&'static str) -> LayerError,
    ) -> Result<&mut Branch, LayerError> {
        let mut missing = 0;
        let mut at = &mut self.layer;
        for name in names {
            let child = at.entries.entry((*name).to_owned()).or_insert_with(|| {
                missing += 1;
                Child::Directory(Branch::default())
            });
            match child {
                Child::Directory(inner) => at = inner,
                Child::Leaf(_) => return Err(wrong("it lies in something that is no directory")),
            }
        }
        self.entries += missing;
        check_entries(self.entries, self.options.max_entries)?;
        Ok(at)
    }

    fn leaf(
        &mut self,
        path: &RelativePath,
        leaf: Arc<Leaf>,
        wrong: &dyn Fn(&'static str) -> LayerError,
    ) -> Result<(), LayerError> {
        let names: Vec<&str> = path.components().collect();
        let (name, above) = names.split_last().ok_or_else(|| wrong("the root is a directory"))?;
        self.parent(above, wrong)?.entries.insert((*name).to_owned(), Child::Leaf(leaf));
        Ok(())
    }

    fn directory(
        &mut self,
        path: &RelativePath,
        metadata: Metadata,
        wrong: &dyn Fn(&'static str) -> LayerError,
    ) -> Result<(), LayerError> {
        let mode = metadata.mode.filter(|mode| *mode != DIRECTORY_MODE);
        let metadata = Some(Metadata { mode, ..metadata });
        let names: Vec<&str> = path.components().collect();
        let Some((name, above)) = names.split_last() else {
            self.layer.metadata = metadata;
            return Ok(());
        };
        match self
            .parent(above, wrong)?
            .entries
            .entry((*name).to_owned())
            .or_insert(Child::Directory(Branch::default()))
        {
            Child::Directory(there) => there.metadata = metadata,
            leaf @ Child::Leaf(_) => *leaf = Child::Directory(Branch { metadata, ..Branch::default() }),
        }
        Ok(())
    }
}

fn check_entries(entries: usize, limit: usize) -> Result<(), LayerError> {
    if entries > limit { Err(LayerError::TooLarge { limit: limit as u64, what: "entries" }) } else { Ok(()) }
}

/// Returns the path that an archive states, without `.` and repeated slashes.
pub(super) fn entry_path(raw: &[u8]) -> Result<RelativePath, &'static str> {
    let text = std::str::from_utf8(raw).map_err(|_| "its name is not UTF-8")?;
    if text.is_empty() {
        return Err("it has no name");
    }
    // The root has been seen under that name.
    if text.starts_with('/') && text.contains(|letter| letter != '/') {
        return Err("its name is absolute");
    }
    if text.len() > MAX_PATH {
        return Err("its name is longer than 4096 bytes");
    }
    let names: Vec<&str> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    for name in &names {
        match *name {
            ".." => return Err("its name leads upwards"),
            name if name.contains('\0') => return Err("its name contains a NUL"),
            name if name.starts_with(WHITEOUT) && name.len() <= 255 => {}
            name => check_name(name)?,
        }
    }
    if names.len() > MAX_DEPTH {
        return Err("it lies deeper than 256 directories");
    }
    RelativePath::parse(&names.join("/")).map_err(|_| "its name is not normal")
}

/// Returns the target of a symlink. Where it leads does not matter here.
fn target(raw: &[u8]) -> Result<String, &'static str> {
    match std::str::from_utf8(raw) {
        Err(_) => Err("its target is not UTF-8"),
        Ok("") => Err("its target is empty"),
        Ok(text) if text.contains('\0') => Err("its target contains a NUL"),
        Ok(text) if text.len() > MAX_PATH => Err("its target is longer than 4096 bytes"),
        Ok(text) => Ok(text.to_owned()),
    }
}
