//! Garbage collection: what was not used for longest goes first.
//!
//! Never goes: what was used within the grace period, what an action has pinned, and what an entry
//! under lease, or with a pin that has not ended, reaches.
//! Two passes: the first adds up how much was last used when, and so finds the time before which everything
//! has to go; the second evicts. Memory is taken for leased blobs only, not for all there are. Afterwards the
//! tables lose the records that lead to nothing any more.

use std::collections::{BTreeMap, HashSet};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use prost::Message;

use super::database::Table;
use super::local::RECORD_BYTES;
use super::space::allocated;
use super::sweep::{BlobFile, Swept};
use super::used::Moment;
use super::{LocalBlobStore, StoreError, leases, pinned, wire};
use crate::digest::Digest;
use crate::proto::reapi;
use crate::spec::Descriptor;

/// Blobs that are evicted under one lock.
const BATCH: usize = 500;
/// The part of the limit that is freed beyond what is needed, so that not every write has to collect.
const SPARE_PART: u64 = 10;
/// A collection that found nothing to evict is not repeated before so long.
const FUTILE: Duration = Duration::from_secs(1);
/// How often a collection is repeated whose database did not become as small as was to be expected.
const ROUNDS: usize = 3;

/// What a collection is to reach.
#[derive(Debug, Clone, Copy, Default)]
pub struct Goal {
    /// Bytes to be freed.
    pub free: u64,
    /// What was not used for so long goes in any case.
    pub max_age: Option<Duration>,
}

/// What a collection has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs evicted.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records of other tables that led to evicted blobs.
    pub records: u64,
}

impl LocalBlobStore {
    /// Evicts blobs until the goal is reached, or no more may go.
    ///
    /// # Errors
    /// When the store fails. What was evicted until then stays evicted.
    pub fn collect(&self, goal: Goal) -> Result<Collected, StoreError> {
        let mut turn = self.collecting();
        let collected = self.collect_in_turn(goal)?;
        *turn = None;
        Ok(collected)
    }

    /// Evicts blobs when the store has come close to its limit.
    ///
    /// # Errors
    /// As `collect`.
    pub fn keep_spare(&self) -> Result<Option<Collected>, StoreError> {
        let spare = self.inner.space.limit().unwrap_or(0) / SPARE_PART;
        let excess = self.inner.space.excess(spare)?;
        if excess == 0 {
            return Ok(None);
        }
        self.collect(Goal { free: excess.saturating_add(spare), max_age: None }).map(Some)
    }

    /// Evicts blobs so that so many bytes can be stored. Others who need room wait for it.
    pub(super) fn make_room(&self, bytes: u64) -> Result<(), StoreError> {
        let mut turn = self.collecting();
        let excess = self.inner.space.excess(bytes)?;
        if excess == 0 || turn.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let spare = self.inner.space.limit().unwrap_or(0) / SPARE_PART;
        let collected = self.collect_in_turn(Goal { free: excess.saturating_add(spare), max_age: None })?;
        *turn = (collected.blobs == 0).then(|| Instant::now() + FUTILE);
        Ok(())
    }

    fn collect_in_turn(&self, goal: Goal) -> Result<Collected, StoreError> {
        let started = Instant::now();
        let before = self.used()?;
        let mut collected = Collected::default();
        for _ in 0..ROUNDS {
            let free = goal.free.saturating_sub(before.saturating_sub(self.used()?));
            let round = self.round(Goal { free, ..goal })?;
            collected.blobs += round.blobs;
            collected.bytes += round.bytes;
            if round.blobs == 0 || before.saturating_sub(self.used()?) >= goal.free {
                break;
            }
        }
        if collected.blobs > 0 {
            collected.records = self.prune()?;
            let Collected { blobs, bytes, records } = collected;
            tracing::info!(blobs, bytes, records, ms = started.elapsed().as_millis(), "evicted what was not used");
        }
        Ok(collected)
    }

    fn round(&self, goal: Goal) -> Result<Collected, StoreError> {
        let kept = leases::leased(self, Moment::now())?;
        let Some(cutoff) = self.cutoff(goal, &kept)? else { return Ok(Collected::default()) };
        let mut collected = self.evict_files(cutoff, &kept)?;
        let small = self.evict_small(cutoff, &kept)?;
        if small.blobs > 0 {
            self.inner.small.reclaim()?;
        }
        collected.blobs += small.blobs;
        collected.bytes += small.bytes;
        Ok(collected)
    }

    /// Returns the last moment such that what was used then, or before, has to go.
    fn cutoff(&self, goal: Goal, kept: &HashSet<Digest>) -> Result<Option<Moment>, StoreError> {
        let now = Moment::now();
        let grace = self.inner.options.grace;
        // A use may have been noted half a grace period too early.
        let latest = now.before(grace + grace / 2);
        let old = goal.max_age.map(|age| now.before(age));
        let mut sizes: BTreeMap<Moment, u64> = BTreeMap::new();
        let mut add = |digest: &Digest, used, bytes| {
            if used <= latest && !kept.contains(digest) {
                *sizes.entry(used).or_default() += bytes;
            }
        };
        self.inner.files.sweep(|swept| {
            if let Swept::Blob(file) = swept
                && file.may_go()
            {
                add(&file.digest, file.used, allocated(file.length));
            }
            Ok(())
        })?;
        self.inner.small.scan(|digest, used| {
            add(&digest, used, digest.size() + RECORD_BYTES);
            Ok(())
        })?;
        let mut cutoff = None;
        let mut freed = 0;
        for (used, bytes) in sizes {
            if freed >= goal.free && old.is_none_or(|old| used > old) {
                break;
            }
            freed += bytes;
            cutoff = Some(used);
        }
        Ok(cutoff)
    }

    fn evict_files(&self, cutoff: Moment, kept: &HashSet<Digest>) -> Result<Collected, StoreError> {
        let mut collected = Collected::default();
        let mut batch = Vec::new();
        self.inner.files.sweep(|swept| {
            if let Swept::Blob(file) = swept
                && file.may_go()
                && file.used <= cutoff
                && !kept.contains(&file.digest)
            {
                batch.push(file.digest);
            }
            if batch.len() >= BATCH {
                self.evict_file_batch(&std::mem::take(&mut batch), cutoff, &mut collected)?;
            }
            Ok(())
        })?;
        self.evict_file_batch(&batch, cutoff, &mut collected)?;
        Ok(collected)
    }

    /// Evicts those of the blobs that have not been used in the meantime.
    fn evict_file_batch(&self, batch: &[Digest], cutoff: Moment, collected: &mut Collected) -> Result<(), StoreError> {
        let _alone = self.inner.evicting.write().unwrap_or_else(PoisonError::into_inner);
        for digest in batch.iter().filter(|digest| !self.inner.pins.contains(digest)) {
            if self.inner.files.used(digest)?.is_none_or(|used| used > cutoff) {
                continue;
            }
            for _ in 0..self.inner.files.remove(digest)? {
                self.inner.space.file_went(digest.size());
                collected.bytes += digest.size();
            }
            collected.blobs += 1;
        }
        Ok(())
    }

    fn evict_small(&self, cutoff: Moment, kept: &HashSet<Digest>) -> Result<Collected, StoreError> {
        let mut collected = Collected::default();
        let mut batch = Vec::new();
        self.inner.small.scan(|digest, used| {
            if used <= cutoff && !kept.contains(&digest) {
                batch.push(digest);
            }
            if batch.len() >= BATCH {
                self.evict_small_batch(&std::mem::take(&mut batch), cutoff, &mut collected)?;
            }
            Ok(())
        })?;
        self.evict_small_batch(&batch, cutoff, &mut collected)?;
        Ok(collected)
    }

    /// Evicts those of the blobs that have not been used in the meantime.
    fn evict_small_batch(&self, batch: &[Digest], cutoff: Moment, collected: &mut Collected) -> Result<(), StoreError> {
        let _alone = self.inner.evicting.write().unwrap_or_else(PoisonError::into_inner);
        let used = self.inner.small.used(batch)?;
        let unused = batch
            .iter()
            .zip(used)
            .filter(|(digest, used)| used.is_some_and(|used| used <= cutoff) && !self.inner.pins.contains(digest));
        let gone: Vec<Digest> = unused.map(|(digest, _)| *digest).collect();
        self.inner.small.remove(&gone)?;
        collected.blobs += gone.len() as u64;
        collected.bytes += gone.iter().map(Digest::size).sum::<u64>();
        Ok(())
    }

    /// Removes the records of actions, trees and environments that lead to blobs which are gone.
    fn prune(&self) -> Result<u64, StoreError> {
        let (mut records, _) = pinned::remove_ended(&self.inner.database, Moment::now().seconds())?;
        records += self.prune_table(Table::Actions, direct_outputs)?;
        records += self.prune_table(Table::Trees, |_, root| Some(vec![text(root)?]))?;
        records += self.prune_table(Table::Entries, |_, record| Some(vec![Descriptor::parse(record).ok()?.tree]))?;
        Ok(records)
    }

    /// Removes the records of a table of whose blobs one is gone. Records that cannot be read stay.
    fn prune_table(
        &self,
        table: Table,
        blobs: impl Fn(&[u8], &[u8]) -> Option<Vec<Digest>>,
    ) -> Result<u64, StoreError> {
        let mut removed = 0;
        self.inner.database.scan(table, |key, record| {
            let Some(digests) = blobs(key, record) else { return Ok(()) };
            if self.all_there(&digests)? {
                return Ok(());
            }
            let mut changes = self.inner.database.changes();
            changes.delete(table, key);
            removed += 1;
            self.inner.database.apply(changes)
        })?;
        Ok(removed)
    }

    /// Says whether all blobs are there. They do not count as used.
    fn all_there(&self, digests: &[Digest]) -> Result<bool, StoreError> {
        for digest in digests {
            let small = self.is_small(digest) && self.inner.small.used(&[*digest])?[0].is_some();
            if !small && !self.inner.files.contains(digest)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl BlobFile {
    /// Says whether a file is of the kind that is evicted: not the empty blob, nor shared with an environment,
    /// which would keep its bytes on the disk.
    fn may_go(&self) -> bool {
        self.digest.size() > 0 && self.links == 1
    }
}

/// Returns the blobs that the result of an action names itself, not those that lie in its trees.
fn direct_outputs(action: &[u8], record: &[u8]) -> Option<Vec<Digest>> {
    let function = text(action)?.function();
    let result = reapi::ActionResult::decode(record).ok()?;
    let files = result.output_files.iter().map(|file| file.digest.as_ref());
    let trees = result.output_directories.iter().map(|directory| directory.tree_digest.as_ref());
    let named = files.chain(trees).chain([result.stdout_digest.as_ref(), result.stderr_digest.as_ref()]);
    named.flatten().map(|digest| wire::digest(function, "outputs", Some(digest)).ok()).collect()
}

/// Reads a digest in its text form.
fn text(bytes: &[u8]) -> Option<Digest> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
