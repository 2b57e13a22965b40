//! GetTree: all directories below a root, a page at a time.
//!
//! Only what makes a page is read, and each directory is sent once however often it occurs, so neither a large
//! tree nor one that is small but unfolds to a very large one takes more memory than its directories have digests.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use tonic::Status;

use super::messages::GetTreeResponse;
use crate::digest::Digest;
use crate::serve::status::store_status;
use crate::store::{BlobStore, Directory, DirectoryError, LocalBlobStore, StoreError};

/// Directories in a page, when the client does not say, and the most whatever it says.
const PAGE: usize = 1000;
/// Bytes after which a page is full.
const PAGE_BYTES: usize = 1 << 20;
/// Bytes of directories read at a time.
const READ_BYTES: u64 = 1 << 20;
/// Most directories read at a time.
const READ_DIRECTORIES: usize = 256;
/// Largest directory that is read: no client takes larger messages.
const MAX_DIRECTORY_BYTES: usize = 16 << 20;
/// Most directories of a tree.
const MAX_DIRECTORIES: usize = 1_000_000;

/// A walk through a tree, a level at a time from the root down; directories that are not in the CAS are left out.
pub(super) struct Walk {
    store: LocalBlobStore,
    /// Every directory met so far, which is those done with, then those found, then those in the queue.
    seen: HashSet<Digest>,
    queue: VecDeque<Digest>,
    /// Directories that have been read and wait for a page.
    ready: VecDeque<Bytes>,
    page: usize,
    /// Directories that were sent, now or before an earlier page token.
    sent: usize,
    /// Directories still to be left out because they stand before the page token.
    skip: usize,
    begun: bool,
    ended: bool,
}

impl Walk {
    /// Begins a walk. A page token is the number of directories before the page: one that was tampered with leads
    /// to another place in the same tree.
    ///
    /// # Errors
    /// When the paging makes no sense.
    pub(super) fn begin(store: LocalBlobStore, root: Digest, page_size: i32, page_token: &str) -> Result<Self, Status> {
        let page = match usize::try_from(page_size) {
            Ok(0) => PAGE,
            Ok(size) => size.min(PAGE),
            Err(_) => return Err(Status::invalid_argument(format!("page_size is {page_size}"))),
        };
        let skip = match page_token {
            "" => Some(0),
            token => token.parse().ok().filter(|skip| (1..=MAX_DIRECTORIES).contains(skip)),
        };
        let skip = skip.ok_or_else(|| Status::invalid_argument("page_token is not one of this server"))?;
        let (seen, queue, ready) = (HashSet::from([root]), VecDeque::from([root]), VecDeque::new());
        Ok(Self { store, seen, queue, ready, page, sent: skip, skip, begun: false, ended: false })
    }

    /// Returns the next page, or `None` after the last.
    ///
    /// # Errors
    /// When the root is not in the CAS, or a blob below it is no valid directory.
    pub(super) async fn page(&mut self) -> Result<Option<GetTreeResponse>, Status> {
        if self.ended {
            return Ok(None);
        }
        let mut page = GetTreeResponse::default();
        let mut bytes = 0;
        while page.directories.len() < self.page && bytes < PAGE_BYTES {
            self.make_ready().await?;
            let Some(directory) = self.ready.pop_front() else { break };
            bytes += directory.len();
            page.directories.push(directory);
        }
        self.sent += page.directories.len();
        self.make_ready().await?;
        self.ended = self.ready.is_empty();
        if !self.ended {
            page.next_page_token = self.sent.to_string();
        }
        Ok(Some(page))
    }

    /// Reads on until a directory is ready or there are no more.
    async fn make_ready(&mut self) -> Result<(), Status> {
        while self.ready.is_empty() && !self.queue.is_empty() {
            self.read().await?;
        }
        Ok(())
    }

    /// Reads the next directories.
    async fn read(&mut self) -> Result<(), Status> {
        let next = self.next_digests().map_err(|error| store_status(&error))?;
        let mut blobs = self.store.get_batch(&next).await.map_err(|error| store_status(&error))?;
        for digest in next {
            let Some(bytes) = blobs.remove(&digest) else {
                if !self.begun {
                    return Err(Status::not_found(format!("root directory `{digest}` is not in the CAS")));
                }
                continue;
            };
            self.begun = true;
            let directory = Directory::parse(digest.function(), &bytes)
                .map_err(|source| store_status(&StoreError::Directory { digest, source }))?;
            for below in directory.subdirectories() {
                if self.seen.insert(below) {
                    self.queue.push_back(below);
                }
            }
            if self.seen.len() > MAX_DIRECTORIES {
                return Err(Status::resource_exhausted(format!(
                    "the tree has more than {MAX_DIRECTORIES} directories"
                )));
            }
            if self.skip > 0 {
                self.skip -= 1;
            } else {
                self.ready.push_back(bytes);
            }
        }
        Ok(())
    }

    /// Takes from the queue what is read at a time: at least one, and not much more than fits.
    fn next_digests(&mut self) -> Result<Vec<Digest>, StoreError> {
        let (mut next, mut bytes) = (Vec::new(), 0);
        while let Some(digest) = self.queue.front().copied() {
            if digest.size() > MAX_DIRECTORY_BYTES as u64 {
                let source = DirectoryError::TooLarge { limit: MAX_DIRECTORY_BYTES, what: "bytes" };
                return Err(StoreError::Directory { digest, source });
            }
            bytes += digest.size();
            if !next.is_empty() && (bytes > READ_BYTES || next.len() == READ_DIRECTORIES) {
                break;
            }
            self.queue.pop_front();
            next.push(digest);
        }
        Ok(next)
    }
}
