//! Uploads that go on after a break: what came of them is kept for a while, by resource name.
//!
//! A `Turn` is the right of one Write to add to an upload. Whoever comes last has it: a client that comes back
//! need not wait until its broken connection is noticed. What has been added stays in order, since each addition
//! holds the upload's lock, also when its caller has gone away meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tonic::Status;

use crate::digest::Digest;
use crate::serve::status::upload_status;
use crate::store::{BlobWriter, LocalBlobStore, StoreError, blocking};

/// How long an upload that broke off is kept.
const KEEP: Duration = Duration::from_secs(600);
/// Most uploads kept that nobody adds to.
const MAX_IDLE: usize = 64;
/// Most bytes that blobs of such uploads have; for as many room is reserved.
const MAX_IDLE_BYTES: u64 = 8 << 30;

/// The uploads under way, and those that broke off.
#[derive(Clone, Default)]
pub(super) struct Uploads {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    by_name: HashMap<String, Kept>,
    /// Whether a task is about that gives up what is kept for too long.
    swept: bool,
}

struct Kept {
    upload: Arc<Upload>,
    /// Since when nobody adds to it.
    idle: Option<Instant>,
}

/// A blob of which a part may have come.
struct Upload {
    name: String,
    digest: Digest,
    committed: AtomicU64,
    /// Number of the Write that may add to it. Changes under the lock of the writer.
    turn: AtomicU64,
    /// Gone when the upload is complete or has failed.
    writer: Arc<tokio::sync::Mutex<Option<BlobWriter>>>,
}

/// The right to add to an upload.
pub(super) struct Turn {
    uploads: Uploads,
    upload: Arc<Upload>,
    number: u64,
    over: bool,
}

impl Uploads {
    /// Begins an upload at offset 0, or goes on with it where it broke off.
    ///
    /// # Errors
    /// When there is no room, or the offset is not where it broke off.
    pub(super) async fn open(
        &self,
        store: &LocalBlobStore,
        name: &str,
        digest: Digest,
        offset: i64,
    ) -> Result<Turn, Status> {
        if offset == 0 {
            return self.begin(store, name, digest).await;
        }
        let upload = self.table().by_name.get_mut(name).map(|kept| {
            kept.idle = None;
            Arc::clone(&kept.upload)
        });
        let upload = upload.ok_or_else(|| wrong_offset(&digest, offset, 0))?;
        let number = {
            let _added = upload.writer.lock().await;
            upload.turn.fetch_add(1, Ordering::AcqRel) + 1
        };
        let turn = Turn { uploads: self.clone(), upload, number, over: false };
        let size = turn.size();
        if u64::try_from(offset) == Ok(size) { Ok(turn) } else { Err(wrong_offset(&digest, offset, size)) }
    }

    async fn begin(&self, store: &LocalBlobStore, name: &str, digest: Digest) -> Result<Turn, Status> {
        let (store, uploads) = (store.clone(), self.clone());
        let writer = blocking(move || store.writer(&digest).or_else(|error| uploads.retry(&store, &digest, error)));
        let writer = writer.await.map_err(|error| upload_status(&error))?;
        let upload = Arc::new(Upload {
            name: name.to_owned(),
            digest,
            committed: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            writer: Arc::new(tokio::sync::Mutex::new(Some(writer))),
        });
        let kept = Kept { upload: Arc::clone(&upload), idle: None };
        // One of the same name may still be added to: it goes on by itself, unnamed.
        let replaced = self.table().by_name.insert(name.to_owned(), kept);
        drop(replaced);
        Ok(Turn { uploads: self.clone(), upload, number: 0, over: false })
    }

    /// Gives up what broke off when there is no room for something new.
    fn retry(&self, store: &LocalBlobStore, digest: &Digest, error: StoreError) -> Result<BlobWriter, StoreError> {
        let given_up = self.give_up(|idle| idle.is_some());
        if given_up.is_empty() { Err(error) } else { store.writer(digest) }
    }

    /// Returns the bytes that came of an upload, if it is known.
    pub(super) fn committed(&self, name: &str) -> Option<u64> {
        self.table().by_name.get(name).map(|kept| kept.upload.committed.load(Ordering::Acquire))
    }

    /// Keeps an upload that broke off, within the limits: those that broke off first go first.
    fn park(&self, upload: &Arc<Upload>) {
        let mut table = self.table();
        match table.by_name.get_mut(&upload.name) {
            Some(kept) if Arc::ptr_eq(&kept.upload, upload) => kept.idle = Some(Instant::now()),
            _ => return,
        }
        let mut idle: Vec<_> =
            table.by_name.iter().filter_map(|(name, kept)| Some((kept.idle?, name.clone()))).collect();
        idle.sort_unstable_by(|one, other| other.cmp(one));
        let mut given_up = Vec::new();
        let mut bytes = 0_u64;
        for (at, (_, name)) in idle.into_iter().enumerate() {
            bytes = bytes.saturating_add(table.by_name.get(&name).map_or(0, |kept| kept.upload.digest.size()));
            if at >= MAX_IDLE || bytes > MAX_IDLE_BYTES {
                given_up.push(table.by_name.remove(&name));
            }
        }
        let sweep = !std::mem::replace(&mut table.swept, true);
        drop(table);
        if sweep {
            self.sweep();
        }
    }

    /// Sees to it that nothing stays for ever when no further request comes. The task ends when nothing is kept.
    fn sweep(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let table = Arc::downgrade(&self.table);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(KEEP / 10).await;
                let Some(table) = table.upgrade() else { return };
                let uploads = Self { table };
                blocking({
                    let uploads = uploads.clone();
                    move || drop(uploads.give_up(|idle| idle.is_some_and(|since| since.elapsed() >= KEEP)))
                })
                .await;
                let mut table = uploads.table();
                table.swept = table.by_name.values().any(|kept| kept.idle.is_some());
                if !table.swept {
                    return;
                }
            }
        });
    }

    /// Forgets uploads, and returns them: their files are removed when they are dropped.
    fn give_up(&self, which: impl Fn(Option<Instant>) -> bool) -> Vec<Arc<Upload>> {
        self.table().by_name.extract_if(|_, kept| which(kept.idle)).map(|(_, kept)| kept.upload).collect()
    }

    fn forget(&self, upload: &Arc<Upload>) {
        let mut table = self.table();
        if table.by_name.get(&upload.name).is_some_and(|kept| Arc::ptr_eq(&kept.upload, upload)) {
            table.by_name.remove(&upload.name);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Each change is one call: what a panic left behind is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Returns the bytes taken so far.
    pub(super) fn size(&self) -> u64 {
        self.upload.committed.load(Ordering::Acquire)
    }

    /// Takes the next pieces.
    ///
    /// # Errors
    /// When they cannot be written, or another Write has gone on with the upload.
    ///
    /// # Cancel safety
    /// Dropped, the pieces are taken all the same, or none of them is.
    pub(super) async fn append(&mut self, pieces: Vec<Bytes>) -> Result<(), Status> {
        let (upload, number) = (Arc::clone(&self.upload), self.number);
        let mut slot = Arc::clone(&upload.writer).lock_owned().await;
        let written = blocking(move || {
            let mut writer = upload.take(&mut slot, number)?;
            pieces.iter().try_for_each(|piece| writer.write(piece)).map_err(|error| upload_status(&error))?;
            upload.committed.store(writer.size(), Ordering::Release);
            *slot = Some(writer);
            Ok(())
        });
        written.await.inspect_err(|_| self.discard())
    }

    /// Stores the whole.
    ///
    /// # Errors
    /// When it is not the blob that the digest names.
    pub(super) async fn finish(mut self) -> Result<(), Status> {
        let (upload, number) = (Arc::clone(&self.upload), self.number);
        let mut slot = Arc::clone(&upload.writer).lock_owned().await;
        let finished = blocking(move || {
            let writer = upload.take(&mut slot, number)?;
            writer.finish().map_err(|error| upload_status(&error))
        });
        let finished = finished.await;
        self.discard();
        finished
    }

    /// Forgets the upload: it is complete, or what came of it is of no use. If another Write goes on with it, it
    /// is not for this one to say.
    pub(super) fn discard(&mut self) {
        self.over = true;
        if self.is_current() {
            self.uploads.forget(&self.upload);
        }
    }

    fn is_current(&self) -> bool {
        self.upload.turn.load(Ordering::Acquire) == self.number
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over && self.is_current() {
            self.uploads.park(&self.upload);
        }
    }
}

impl Upload {
    /// Takes the writer for the Write with this number. Not put back, the upload has failed.
    fn take(&self, slot: &mut Option<BlobWriter>, number: u64) -> Result<BlobWriter, Status> {
        let gone = || Status::aborted("another Write goes on with this upload, or it was given up");
        if self.turn.load(Ordering::Acquire) != number {
            return Err(gone());
        }
        slot.take().ok_or_else(gone)
    }
}

fn wrong_offset(digest: &Digest, offset: i64, size: u64) -> Status {
    Status::invalid_argument(format!("blob `{digest}`: write_offset is {offset} after {size} bytes"))
}
